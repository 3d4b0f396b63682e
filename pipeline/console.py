"""What people see: our lines on their terminal, everything the libraries say in a file."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console


@contextlib.contextmanager
def quiet(log: Path) -> Iterator[Console]:
    """Sends what Python and the C++ libraries write to standard output and error to `log`.

    Yields:
        A console on the real standard output, for our own lines.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    # Down at the file descriptors, because TensorFlow's C++ code writes there.
    saved = os.dup(1), os.dup(2)
    with log.open("a", encoding="utf-8") as file, os.fdopen(os.dup(1), "w", encoding="utf-8") as terminal:
        handler = logging.StreamHandler(file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname).1s %(name)s: %(message)s"))
        root = logging.getLogger()
        before = root.handlers[:], root.level
        root.handlers, root.level = [handler], logging.INFO
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield Console(file=terminal, highlight=False, soft_wrap=True)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for descriptor, original in enumerate(saved, start=1):
                os.dup2(original, descriptor)
                os.close(original)
            root.handlers, root.level = before
