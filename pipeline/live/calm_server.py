"""`python -m pipeline.live.calm_server LOG …`: the embedded server on a terminal, with the libraries' output in a file.

The server's own lines stay on standard output, and its errors on standard error. The other arguments are its flags.
"""

from __future__ import annotations

import logging
import os
import sys

from pipeline.terminal.console import log_to
from serving.server.__main__ import main


def _run(log: str, *flags: str) -> None:
    # Python's standard error stays the terminal; TensorFlow's C++ code writes to the file descriptor.
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    file = open(log, "a", encoding="utf-8")  # noqa: SIM115 (for as long as the process lives)
    os.dup2(file.fileno(), 2)
    log_to(file)
    logging.captureWarnings(True)
    main(flags, prog_name="rankline serve")


if __name__ == "__main__":
    _run(*sys.argv[1:])
