# Rankline and its environment: for the pods of a cluster, or to run it where nothing else is installed.
#
#   docker build --target cpu --tag rankline:0.1.0 .
#   docker build --target gpu --tag rankline:0.1.0-gpu .     with TensorFlow's CUDA wheels
#
# Debian 13, because its glibc is one that TFX's wheels are published for. Versions of its packages are not pinned: a
# stable suite changes by mended mistakes only, and the versions before are then no longer to be had.

FROM debian:trixie-slim AS dependencies
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates g++ python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/rankline
ENV PATH=/opt/rankline/bin:$PATH
WORKDIR /build
COPY requirements-image.lock ./
# pyfarmhash is published as source only, and built with the locked setuptools, which so comes first.
RUN sed -n '/^setuptools==/,/[^\\]$/p' requirements-image.lock >first.txt \
    && pip install --no-cache-dir --no-deps --require-hashes -r first.txt \
    && pip install --no-cache-dir --no-deps --require-hashes --no-build-isolation -r requirements-image.lock

FROM dependencies AS project
COPY . ./
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .

FROM dependencies AS cuda
COPY requirements-gpu.lock ./
RUN pip install --no-cache-dir --no-deps --require-hashes --target /cuda -r requirements-gpu.lock

# Layers from the largest and least changed to the smallest: a change of the project is a layer of one megabyte.
FROM debian:trixie-slim AS cpu
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home rankline
COPY --from=dependencies /opt/rankline /opt/rankline
ENV PATH=/opt/rankline/bin:$PATH PYTHONUNBUFFERED=1
RUN --mount=type=bind,from=project,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-deps --no-index /wheels/*.whl
# As a number, by which Kubernetes knows that it is not root's.
USER 1000:1000
WORKDIR /home/rankline
# Whether the environment is whole. What else to ask depends on the command: a server has ports of its own.
HEALTHCHECK --interval=5m --timeout=30s CMD ["rankline", "--version"]
ENTRYPOINT ["rankline"]
CMD ["--help"]

FROM cpu AS gpu
COPY --from=cuda /cuda /opt/rankline/lib/python3.13/site-packages
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
