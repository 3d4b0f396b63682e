"""Processes that have imported TFX before they begin, so that many can be started, and killed, in little time."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TextIO

_PROJECT = str(Path(__file__).parent.parent)
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["pipeline.jobs.run", "pipeline.cli"])


def started(function: Callable[..., None], *arguments: Any) -> BaseProcess:
    """A process that calls a function of a test module."""
    if _PROJECT not in sys.path:  # by which the process finds the module
        sys.path.append(_PROJECT)
    process = _context.Process(target=function, args=arguments)
    process.start()
    return process


def started_rankline(*arguments: str) -> tuple[BaseProcess, TextIO]:
    """A process that runs a `rankline` command, and what it writes to standard output and error."""
    ours, its = _context.Pipe(duplex=False)
    process = started(_rankline, arguments, its)
    its.close()
    said = os.fdopen(os.dup(ours.fileno()), encoding="utf-8")
    ours.close()
    return process, said


def _rankline(arguments: Sequence[str], output: Connection) -> None:
    from pipeline import cli

    for descriptor in (1, 2):
        os.dup2(output.fileno(), descriptor)
    output.close()
    sys.argv = ["rankline", *arguments]
    cli.main()
