"""What users see: Rankline's own lines go to their terminal, all output of the libraries to a file."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.spinner import Spinner

from schema.errors import RanklineError

_PIPED_WIDTH = 1000
"""The width if the output is not a terminal, so that no line is broken."""


def console(file: TextIO | None = None) -> Console:
    """A console for Rankline's own lines, on standard output by default."""
    terminal = (file or sys.stdout).isatty()
    # A notebook is not a terminal, although its kernel asks for colours, and its lines should not become widgets.
    return Console(
        file=file, force_terminal=terminal, force_jupyter=False, highlight=False, soft_wrap=True,
        width=None if terminal else _PIPED_WIDTH,
    )  # fmt: skip


def busy(console: Console, text: str) -> Live:
    """A spinner for the length of a `with` block, if the console is a terminal.

    Unlike `Console.status`, it does not show on the terminal what Python code prints meanwhile.
    """
    spinner = Spinner("dots", text, style="status.spinner")
    return Live(spinner, console=console, transient=True, redirect_stdout=False, redirect_stderr=False)


def counted(console: Console) -> Progress:
    """A progress bar with the current task for the length of a `with` block, if the console is a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,  # else it leaves an empty line
        redirect_stdout=False,
        redirect_stderr=False,
    )


def log_to(file: TextIO) -> None:
    """Sends the log of Python's libraries to a file and nowhere else."""
    handler = logging.StreamHandler(file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname).1s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers, root.level = [handler], logging.INFO


@contextlib.contextmanager
def quiet(log: Path, silent: bool = False) -> Iterator[Console]:
    """Sends all output of Python and the C++ libraries, on standard output and error, to `log`.

    Args:
        log: the file, to which the output is appended.
        silent: whether to hide Rankline's own lines too.

    Yields:
        A console on the real standard output, for Rankline's own lines.

    Raises:
        RanklineError: the file cannot be created.
    """
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        # Without a buffer, a full disk loses output at once, and closing the file cannot fail.
        unbuffered = log.open("ab", buffering=0)
    except OSError as error:
        raise RanklineError(f"{log.parent}: expected a folder that can be written to: {error.strerror}") from error
    sys.stdout.flush()
    sys.stderr.flush()
    # The file descriptors are redirected, because TensorFlow's C++ code writes to them.
    saved = os.dup(1), os.dup(2)
    with (
        io.TextIOWrapper(unbuffered, encoding="utf-8", write_through=True) as file,
        os.fdopen(os.dup(1), "w", encoding="utf-8") as terminal,
    ):
        root = logging.getLogger()
        before = root.handlers[:], root.level
        log_to(file)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            shown = console(terminal)
            shown.quiet = silent
            yield shown
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError):
                    stream.flush()
            for descriptor, original in enumerate(saved, start=1):
                os.dup2(original, descriptor)
                os.close(original)
            root.handlers, root.level = before


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Silences TensorFlow and TFX during imports and later, except for warnings."""
    # TensorFlow reads the variable once. Processes that are started later choose for themselves.
    given = "TF_CPP_MIN_LOG_LEVEL" in os.environ
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with quiet(Path(os.devnull)):
            yield
    finally:
        if not given:
            os.environ.pop("TF_CPP_MIN_LOG_LEVEL", None)
    logging.getLogger("absl").setLevel(logging.WARNING)
