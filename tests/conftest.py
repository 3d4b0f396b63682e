"""What tests of several packages need."""

import os
import pty
import re
import subprocess
from collections.abc import Callable, Sequence

import pytest

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture(scope="session")
def on_terminal() -> Callable[..., tuple[int, str]]:
    """Runs a command on a terminal of its own; gives its exit status, and the text without colours and movements."""

    def run(command: Sequence[str], columns: int = 80) -> tuple[int, str]:
        ours, its = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns)}
        with subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=environment) as process:
            os.close(its)
            shown = b""
            while True:
                try:
                    shown += os.read(ours, 4096)
                except OSError:  # nobody is left at the other end
                    break
        os.close(ours)
        return process.returncode, _ESCAPES.sub("", shown.decode()).replace("\r", "\n")

    return run
