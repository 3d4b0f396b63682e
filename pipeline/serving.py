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

from pipeline.layout import Layout

_DYING_WITH_ITS_PARENT = """
import ctypes, runpy, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
"""Runs a module that Linux stops when the process that started it has gone, even by a kill, which no `finally` sees."""


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


def exec_server(layout: Layout, port: int, rest_api_port: int) -> None:
    """Becomes the server: signals and the exit status are its own."""
    command = server_command(layout, port, rest_api_port)
    os.execv(command[0], command)  # noqa: S606 (no shell is wanted)


@contextlib.contextmanager
def server(layout: Layout, log: Path) -> Iterator[str]:
    """Runs a server beside this process until the block is left.

    Args:
        layout: whose models to serve; there may be none yet, the server waits for the first.
        log: file that its output is added to.

    Yields:
        Its gRPC address.
    """
    port = portpicker.pick_unused_port()
    _, _, module, *flags = server_command(layout, port, 0)
    with beside(log, module, *flags):
        yield f"127.0.0.1:{port}"


@contextlib.contextmanager
def beside(log: Path, module: str, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a module as a process beside this one until the block is left.

    Args:
        log: file that its output is added to.
        module: as after `python -m`; SIGTERM stops it.
        flags: its command line.
    """
    command = [sys.executable, "-c", _DYING_WITH_ITS_PARENT, module, *flags]
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
