"""Starts the embedded server on a dataset's pushed models."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import portpicker
from google.protobuf import text_format

from pipeline.run.layout import Layout
from serving.server import request_log
from serving.server.model_config import of_one_model

_DYING_WITH_ITS_PARENT = """
import ctypes, runpy, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
"""Runs a module that Linux stops when its parent process ends, even by a kill, after which no `finally` runs."""


def server_command(layout: Layout, port: int, rest_api_port: int) -> list[str]:
    """The command line of a server of the dataset's pushed models; the model is named like the dataset."""
    return [
        sys.executable,
        "-m",
        "serving.server",
        f"--port={port}",
        f"--rest_api_port={rest_api_port}",
        f"--model_name={layout.dataset}",
        f"--model_base_path={layout.serving.resolve()}",
    ]


def exec_server(layout: Layout, port: int, rest_api_port: int, log_requests: float = 0.0) -> None:
    """Replaces this process with the server: signals and the exit status are the server's.

    Args:
        layout: the layout of the runs whose models are served.
        port: the port for gRPC.
        rest_api_port: the port for HTTP.
        log_requests: the share of the requests that are logged.
    """
    python, _, _, *flags = server_command(layout, port, rest_api_port)
    if log_requests:
        flags = [*(flag for flag in flags if not flag.startswith("--model_")), _logging(layout, log_requests)]
    command = [python, "-m", "pipeline.live.calm_server", str(_log(layout)), *flags]
    everything = {"TF_CPP_MIN_LOG_LEVEL": "0", **os.environ}
    os.execve(command[0], command, everything)  # noqa: S606 (no shell is wanted)


def _log(layout: Layout) -> Path:
    """The file for TensorFlow's log; the null device if it cannot be written, since read-only models can be served."""
    try:
        layout.serve_log.parent.mkdir(parents=True, exist_ok=True)
        layout.serve_log.open("a").close()
    except OSError:
        return Path(os.devnull)
    return layout.serve_log


def _logging(layout: Layout, share: float) -> str:
    """The flag of a server of the same models that also logs their requests."""
    config = of_one_model(layout.dataset, str(layout.serving.resolve()))
    logging = config.model_config_list.config[0].logging_config
    logging.sampling_config.sampling_rate = share
    logging.log_collector_config.type = request_log.TYPE
    logging.log_collector_config.filename_prefix = str(layout.requests.resolve() / layout.dataset)
    layout.requests.mkdir(parents=True, exist_ok=True)
    file = layout.requests / "models.config"
    file.write_text(text_format.MessageToString(config))
    return f"--model_config_file={file}"


@contextlib.contextmanager
def server(layout: Layout, log: Path) -> Iterator[str]:
    """Runs a server beside this process until the block is left.

    Args:
        layout: the layout of the runs whose models are served; without a model, the server waits for the first one.
        log: the file to which the server's output is appended.

    Yields:
        The server's gRPC address.
    """
    port = portpicker.pick_unused_port()
    _, _, module, *flags = server_command(layout, port, 0)
    with beside(log, module, *flags):
        yield f"127.0.0.1:{port}"


@contextlib.contextmanager
def beside(log: Path, module: str, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a module as a process beside this one until the block is left.

    Args:
        log: the file to which the process' output is appended.
        module: the name of the module, as after `python -m`; SIGTERM stops it.
        flags: the module's command line.
    """
    command = [sys.executable, "-c", _DYING_WITH_ITS_PARENT, module, *flags]
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
