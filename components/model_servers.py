"""Starts a model server for one SavedModel, on a free port of this machine, for as long as a block runs.

There are three kinds of server, which answer the same requests: the embedded server, a given
`tensorflow_model_server`, and the one in a docker image.
"""

import contextlib
import os
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import portpicker

from schema.errors import RanklineError
from serving.client import Client, DeadlineError, LoadError
from serving.server import Server, ServerOptions

EMBEDDED = "embedded"
DOCKER = "docker:"
"""The prefix of a docker image's name."""
BINARY_VARIABLE = "TF_SERVING_BIN"

MODEL_NAME = "candidate"
_START_TIMEOUT_S = 600.0
"""Includes warm-up: the first request of each signature takes a hundredth of a second per column."""
_PULL_TIMEOUT_S = 600.0
"""Docker may have to fetch the image first."""
_POLL_S = 0.5
_STOP_GRACE_S = 10.0
_LOG_LINES = 20


class ModelServerError(RanklineError):
    """A server cannot be started, or cannot serve the model."""


def chosen(configured: str) -> str:
    """Resolves the server to start.

    Args:
        configured: `EMBEDDED`, the path of a `tensorflow_model_server`, or `DOCKER` and an image.

    Returns:
        `configured`, or the binary that the environment variable `BINARY_VARIABLE` names instead. A binary's path is
        followed by its size and time, so that a cached result of another binary is not reused. Pass this to `serving`.

    Raises:
        ModelServerError: there is no such binary.
    """
    server = os.environ.get(BINARY_VARIABLE) or configured
    if server == EMBEDDED or server.startswith(DOCKER):
        return server
    binary = Path(server)
    if not (binary.is_file() and os.access(binary, os.X_OK)):
        where = BINARY_VARIABLE if os.environ.get(BINARY_VARIABLE) else "infra_check_server"
        raise ModelServerError(
            f"{where}: expected {EMBEDDED}, {DOCKER}IMAGE or the path of an executable tensorflow_model_server, "
            f"received {server!r}, which is none of these"
        )
    stat = binary.stat()
    return f"{binary.resolve()}@{stat.st_size}.{stat.st_mtime_ns}"


@contextlib.contextmanager
def serving(server: str, model_path: str) -> Iterator[str]:
    """Serves a SavedModel as version 1 of the model `MODEL_NAME` until the block is left.

    Args:
        server: the server, as `chosen` returns it.
        model_path: the SavedModel's folder.

    Yields:
        The gRPC address, once the model is available there.

    Raises:
        ModelServerError: the server does not start, ends, or cannot load the model or replay its warm-up.
    """
    model = os.path.abspath(model_path)
    if server.startswith(DOCKER):
        starting = _docker(server.removeprefix(DOCKER), model)
    else:
        starting = _embedded(model) if server == EMBEDDED else _binary(server.rpartition("@")[0], model)
    with starting as address:
        yield address


@contextlib.contextmanager
def _embedded(model: str) -> Iterator[str]:
    with _base_path(model) as base:
        options = ServerOptions(MODEL_NAME, base, file_system_poll_wait_seconds=0, max_num_load_retries=0)
        with Server(options) as server:
            try:
                server.wait_until_available(_START_TIMEOUT_S)
            except Exception as error:
                raise ModelServerError(str(error)) from error
            yield f"127.0.0.1:{server.port}"


@contextlib.contextmanager
def _binary(binary: str, model: str) -> Iterator[str]:
    port = portpicker.pick_unused_port()
    with _base_path(model) as base, _running([binary, *_flags(port, base)], port, _START_TIMEOUT_S) as address:
        yield address


@contextlib.contextmanager
def _docker(image: str, model: str) -> Iterator[str]:
    port, name, base = portpicker.pick_unused_port(), f"rankline-{uuid.uuid4().hex[:12]}", f"/models/{MODEL_NAME}"
    command = [
        "docker",
        "run",
        "--rm",
        "--init",  # the server leaves signals to their defaults, which a container's first process does not get
        f"--name={name}",
        f"--publish=127.0.0.1:{port}:8500",
        f"--mount=type=bind,source={model},target={base}/1,readonly",
        "--entrypoint=tensorflow_model_server",
        image,
        *_flags(8500, base),
    ]
    try:
        with _running(command, port, _PULL_TIMEOUT_S) as address:
            yield address
    finally:
        # `--rm` leaves the container behind if docker's client was killed.
        with contextlib.suppress(FileNotFoundError):
            subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=False)  # noqa: S607


@contextlib.contextmanager
def _base_path(model: str) -> Iterator[str]:
    """Yields a model base path, as servers expect it: its subfolder `1` is the model."""
    with tempfile.TemporaryDirectory() as base:
        os.symlink(model, os.path.join(base, "1"))
        yield base


def _flags(port: int, base: str) -> list[str]:
    return [
        f"--port={port}",
        "--rest_api_port=0",
        f"--model_name={MODEL_NAME}",
        f"--model_base_path={base}",
        "--file_system_poll_wait_seconds=0",
        "--max_num_load_retries=0",
    ]


@contextlib.contextmanager
def _running(command: Sequence[str], port: int, timeout_s: float) -> Iterator[str]:
    """Runs a server as a process until the block is left.

    Raises:
        ModelServerError: the server does not serve the model; the message has the command and the end of its log.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        except OSError as error:
            raise ModelServerError(f"{' '.join(command)}: {error.strerror}") from error
        try:
            if problem := _problem(process, f"127.0.0.1:{port}", timeout_s):
                log.seek(0)
                end = "".join(log.readlines()[-_LOG_LINES:]).rstrip() or "(nothing)"
                raise ModelServerError(f"{problem}\n  command: {' '.join(command)}\n  the end of its log:\n{end}")
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(_STOP_GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _problem(process: subprocess.Popen[bytes], address: str, timeout_s: float) -> str:
    """Waits for a server; returns "" once it serves the model, else the reason why it does not."""
    deadline = time.monotonic() + timeout_s
    waited = ""
    with Client(address, MODEL_NAME) as client:
        while time.monotonic() < deadline:
            if (status := process.poll()) is not None:
                return f"the server ended with status {status} before it served the model"
            try:
                client.wait_until_available(_POLL_S)
            except LoadError as error:
                return str(error)
            except DeadlineError as error:
                waited = str(error)
            else:
                return ""
    return f"the server did not serve the model within {timeout_s:g} s ({waited})"
