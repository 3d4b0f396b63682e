"""`python -m serving.server`: the embedded server as a process of its own."""

import contextlib
import functools
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

from schema.finite import FiniteRange
from serving.server import ConfigFileError, PortError, Server, ServerOptions, StatusError

Command = TypeVar("Command", bound=Callable[..., None])

# `--flag`, `--flag=true` and `--flag=false`, as tensorflow_model_server takes them.
_switch = functools.partial(click.option, type=bool, is_flag=False, flag_value=True, default=False)
_threads = functools.partial(click.option, type=click.IntRange(min=0), default=0)

_NEEDLESS = (
    "rest_api_num_threads",
    "num_load_threads",
    "num_unload_threads",
    "flush_filesystem_caches",
    "remove_unused_fields_from_bundle_metagraph",
    "enable_profiler",
    "skip_initialize_tpu",
)
"""Flags of tensorflow_model_server that save time or memory there but change no answers."""


def _without_effect(command: Command) -> Command:
    """Adds flags without effect, so that scripts for tensorflow_model_server need no change."""
    for name in reversed(_NEEDLESS):
        help_text = "Accepted for compatibility with tensorflow_model_server; has no effect here."
        command = click.option(f"--{name}", is_flag=False, flag_value="true", expose_value=False, help=help_text)(
            command
        )
    return command


@click.command(context_settings={"show_default": True})
@click.option(
    "--port",
    default=8500,
    type=click.IntRange(0, 65535),
    help="TCP port for gRPC; 0 chooses a free port and prints it (in tensorflow_model_server, 0 is no gRPC).",
)
@click.option(
    "--rest_api_port",
    default=0,
    type=click.IntRange(0, 65535),
    help="TCP port for HTTP, which serves /v1/models/NAME, its /metadata, and its :predict, :classify and :regress; "
    "0 is no HTTP.",
)
@click.option(
    "--grpc_max_threads",
    default=0,
    type=click.IntRange(min=0),
    help="Threads that answer requests over gRPC; 0 chooses.",
)
@click.option(
    "--rest_api_timeout_in_ms",
    default=30_000,
    type=click.IntRange(min=1),
    help="The time limit of a model for a request over HTTP, in milliseconds.",
)
@_switch("--rest_api_enable_cors_support", help="Allow pages of any web site to send requests over HTTP.")
@click.option(
    "--host",
    default="127.0.0.1",
    help="Address to listen on. tensorflow_model_server has no such flag and always takes 0.0.0.0, "
    "all of the machine's.",
)
@click.option("--model_name", default="default", help="The model's name in requests.")
@click.option(
    "--model_base_path",
    default="",
    help="Folder with a numbered folder for each version, of which the one with the largest number is served. "
    "It may be missing or empty at first.",
)
@click.option(
    "--model_config_file",
    default="",
    help="A ModelServerConfig in text format, in place of --model_name and --model_base_path: models, the versions to "
    "serve, and their labels.",
)
@click.option(
    "--model_config_file_poll_wait_seconds",
    default=0.0,
    type=FiniteRange(min=0),
    help="Seconds between two readings of --model_config_file; 0 reads it once.",
)
@click.option(
    "--saved_model_tags", default="serve", help="Comma-separated tags of the graph to load from a SavedModel."
)
@_switch(
    "--allow_version_labels_for_unavailable_models",
    help="Allow new labels for versions that are not loaded yet, for example when the server starts.",
)
@_switch("--enable_batching", help="Compute simultaneous requests together, in batches.")
@click.option(
    "--batching_parameters_file",
    default="",
    help="BatchingParameters in text format for --enable_batching, in place of the defaults.",
)
@_switch(
    "--enable_per_model_batching_parameters",
    help="Batch only models with a batching_params.pbtxt in their folder, with the parameters in it.",
)
@_switch("--enable_model_warmup", default=True, help="Replay a model's warm-up requests before it is served.")
@click.option(
    "--num_request_iterations_for_warmup",
    default=1,
    type=click.IntRange(min=0),
    help="The number of times that each warm-up request is replayed.",
)
@click.option(
    "--tensorflow_session_config_file", default="", help="A ConfigProto in text format, for TensorFlow's sessions."
)
@_threads("--tensorflow_session_parallelism", help="Threads for running a session; 0 chooses.")
@_threads("--tensorflow_intra_op_parallelism", help="Threads for one operation; 0 chooses.")
@_threads("--tensorflow_inter_op_parallelism", help="Threads for operations side by side; 0 chooses.")
@click.option(
    "--per_process_gpu_memory_fraction",
    default=0.0,
    type=FiniteRange(0, 1),
    help="The share of a GPU's memory to take at the start; 0 takes more as needed.",
)
@click.option(
    "--monitoring_config_file",
    default="",
    help="A MonitoringConfig in text format: `prometheus_config { enable: true }` adds a page of metrics for Prometheus"
    " on the HTTP port, at /monitoring/prometheus/metrics or the `path` in the file.",
)
@click.option(
    "--ssl_config_file",
    default="",
    help="An SSLConfig in text format with server_key and server_cert as PEM text, and client_verify and custom_ca to "
    "verify clients by their certificates. Without it, no TLS.",
)
@click.option("--grpc_channel_arguments", default="", help="Further options of gRPC: grpc.max_connection_age_ms=2000,…")
@_switch(
    "--enable_grpc_healthcheck_service",
    help="Answer grpc.health.v1 as well.",
)
@click.option(
    "--file_system_poll_wait_seconds",
    default=1.0,
    type=FiniteRange(min=0),
    help="Seconds between two searches for new versions; 0 searches once.",
)
@click.option(
    "--max_num_load_retries",
    default=5,
    type=click.IntRange(min=0),
    help="Further attempts if a version fails to load.",
)
@click.option(
    "--load_retry_interval_micros",
    default=60_000_000,
    type=click.IntRange(min=0),
    help="Microseconds between two attempts to load a version.",
)
@_without_effect
def main(rest_api_port: int, **flags: Any) -> None:
    """Serves SavedModels, and their new versions as they appear, with TF Serving's API.

    The flags have the names and meanings of tensorflow_model_server's. SIGINT and SIGTERM stop the server.
    """
    if not (flags["model_base_path"] or flags["model_config_file"]):
        raise click.UsageError("expected --model_base_path or --model_config_file, received neither")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    _log_to_stdout()
    try:
        server = Server(ServerOptions(rest_api_port=rest_api_port or None, **flags))
        with _quiet_tensorflow():
            server.start()
            import serving.server.saved_model  # noqa: F401
    except (ConfigFileError, PortError, StatusError) as error:
        raise click.ClickException(str(error)) from error
    stop.wait()
    server.stop()


def _log_to_stdout() -> None:
    """Logs one line per event to standard output, without the messages of other libraries."""
    log = logging.getLogger("serving")
    log.addHandler(logging.StreamHandler(sys.stdout))
    log.setLevel(logging.INFO)


@contextlib.contextmanager
def _quiet_tensorflow() -> Iterator[None]:
    """Hides what TensorFlow prints while it is imported.

    TF_CPP_MIN_LOG_LEVEL silences the later messages of its C++ code, but some lines come before it is read. If the user
    has set this variable, nothing is hidden.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        yield
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    terminal = os.dup(sys.stderr.fileno())
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stderr.fileno())
    try:
        yield
    finally:
        os.dup2(terminal, sys.stderr.fileno())
        os.close(terminal)


if __name__ == "__main__":
    main()
