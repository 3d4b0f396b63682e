.DEFAULT_GOAL := help
DATASET ?= movielens
USER_ID ?= 42

# Each target makes the environment if it is missing, then calls one tool.
bin := .venv/bin

.PHONY: help setup run serve rank compare validate report runs test test-long test-serving test-flink flink-up flink-down lint audit format docs bench bench-train bench-serve bench-planted bench-scale lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make .venv (GPU=1: with TensorFlow's CUDA wheels)
	@GPU=$(GPU) ./setup.sh

run: setup ## Rows to a served ranking: the whole chain on DATASET (movielens)
	@$(bin)/rankline run --dataset $(DATASET)

serve: setup ## Serve DATASET's pushed models on ports 8500 (gRPC) and 8501 (REST)
	@$(bin)/rankline serve --dataset $(DATASET)

rank: setup ## Ask that server for the best items for USER_ID (42)
	@$(bin)/rankline rank --dataset $(DATASET) --user $(USER_ID)

compare: setup ## Wide, deep, Wide & Deep and DCN-V2 on DATASET, five seeds each
	@$(bin)/rankline compare --dataset $(DATASET)

validate: setup ## Show what each column of DATASET becomes
	@$(bin)/rankline validate --dataset $(DATASET)

report: setup ## Say where the report of the latest run is
	@$(bin)/rankline report

runs: setup ## List past runs
	@$(bin)/rankline runs

# Side by side, as tests/conftest.py shares them out.
pytest := $(bin)/pytest --numprocesses=auto --maxprocesses=4 --no-loadscope-reorder

test: setup ## The tests, under 15 minutes
	@$(pytest) -m "not long"

test-long: setup ## All tests
	@$(pytest)

test-serving: setup ## TF Serving's contract, of the server at TARGET (gRPC) and REST_TARGET, or of the embedded one
	@$(bin)/pytest tests/serving/conformance $(if $(TARGET),--target $(TARGET)) \
	    $(if $(REST_TARGET),--rest-target $(REST_TARGET)) $(if $(MOUNTED_AT),--mounted-at $(MOUNTED_AT))

test-flink: setup ## The main job's Beam pipelines on a Flink cluster (needs Java and Maven)
	@$(bin)/pytest -m long tests/e2e/test_flink.py

flink-up: setup ## Start a Flink cluster on this machine, for `rankline run --beam-runner flink`
	@$(bin)/rankline flink-up

flink-down: setup ## Stop it
	@$(bin)/rankline flink-down

lint: setup ## Style, types, layers, generated pages, known vulnerabilities
	@$(bin)/ruff check .
	@$(bin)/ruff format --check .
	@$(bin)/mypy
	@$(bin)/lint-imports
	@$(bin)/python -m docs.generate --check
	@$(MAKE) --no-print-directory audit

osv := https://api.osv.dev/v1/query

audit: setup ## Known vulnerabilities of the locked packages, where their database can be asked
	@if $(bin)/python -c 'import requests; \
	    requests.post("$(osv)", json={"package": {"name": "pip", "ecosystem": "PyPI"}}, timeout=10).raise_for_status()' \
	    2>/dev/null; then \
	    $(bin)/pip-audit --vulnerability-service osv --osv-url $(osv) --disable-pip --no-deps --progress-spinner off \
	        --requirement requirements.lock --requirement requirements-gpu.lock; \
	else \
	    echo "audit: $(osv) cannot be asked, so nothing is known of the packages' vulnerabilities" >&2; \
	fi

format: setup ## Put the code into shape
	@$(bin)/ruff check --fix .
	@$(bin)/ruff format .

docs: setup ## The documentation as a site that opens from disk: site/index.html
	@$(bin)/python -m docs.generate
	@$(bin)/sphinx-build --fail-on-warning --keep-going --quiet docs site
	@echo site/index.html

bench: setup ## Seconds and rows/s of each component on DATASET, as a table and as JSON
	@$(bin)/rankline bench --dataset $(DATASET) --json runs/bench.json

bench-train: setup .venv-bench/installed ## Training steps beside other libraries', as a table and as JSON
	@$(bin)/rankline bench-train --json runs/bench-train.json

# Without the other libraries, bench-train says so and measures what it can.
.venv-bench/installed: requirements-bench.lock
	@echo "installing $< into .venv-bench (gigabytes; some minutes the first time)" >&2
	@$$($(bin)/python -c 'import sys; print(sys._base_executable)') -m venv --clear $(@D)
	@if $(@D)/bin/python -m pip install --quiet --no-deps --require-hashes -r $<; then touch $@; fi

bench-serve: setup ## The server beside the model alone and gRPC alone, on DATASET's pushed model
	@$(bin)/rankline bench-serve --dataset $(DATASET) --json runs/bench-serve.json

bench-planted: setup ## Who memorises and who generalises, on a million clicks whose truth is known
	@$(bin)/rankline bench-planted

bench-scale: setup ## What a row costs in each component, at 100,000 to 10 million rows
	@$(bin)/rankline bench-scale --json runs/bench-scale.json

resolve := uv pip compile --universal --python-version 3.11 --generate-hashes --quiet \
    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

lock: ## Resolve the dependencies anew into all locks (needs uv and Maven)
	$(resolve) pyproject.toml --extra dev --output-file requirements.lock
	$(resolve) pyproject.toml --extra kubeflow --constraints requirements.lock --output-file requirements-image.lock
	$(resolve) pyproject.toml --extra gpu --constraints requirements.lock --output-file requirements-gpu.lock \
	    $$(sed -n 's/^\([a-z0-9._-]*\)==.*/--no-emit-package \1/p' requirements.lock)
	sed -i '/^$$/,$$d' requirements-gpu.lock
	$(resolve) requirements-bench.in --output-file requirements-bench.lock
	jars=$$(mktemp -d) && mvn -B -q -f pipeline/flink/pom.xml dependency:copy-dependencies -DoutputDirectory=$$jars && \
	    (cd $$jars && sha256sum *) >pipeline/flink/jars.sha256 && rm -r $$jars

clean: ## Remove the environment and caches, not the runs
	rm -rf .venv .venv-bench .pytest_cache .mypy_cache .ruff_cache .import_linter_cache *.egg-info site
