"""Fixtures that tests of several packages share."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from pipeline import cli

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of tests/serving/conformance: here, because pytest reads no others' in time."""
    options = parser.getgroup("conformance", "the server for tests/serving/conformance; without: the embedded one")
    options.addoption("--target", metavar="HOST:PORT", help="where it answers gRPC")
    options.addoption("--rest-target", metavar="HOST:PORT", help="where it answers HTTP")
    options.addoption("--mounted-at", default="/models", help="the models' folder for that server (default: /models)")


_SHARE_LITTLE = ("tests/schema/", "tests/trainer/")


class _ByFolder(LoadScopeScheduling):  # type: ignore[misc]
    """Gives all tests of a folder to one process where they share what takes long to make, else all of a file."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::")[0]
        return file if file.startswith(_SHARE_LITTLE) else file.split("/")[1]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """How tests are shared out where several processes run."""
    return _ByFolder(config, log)


@pytest.fixture(scope="session", autouse=True)
def _no_options_for_tfx() -> Iterator[None]:
    """TFX's Beam executors look for options of theirs on the command line, and would find pytest's `-v`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", sys.argv[:1])
        yield


@pytest.fixture(scope="session")
def on_terminal() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command on a terminal of its own. What it shows there is its `stdout`, without colours and movements."""

    def run(command: Sequence[str], columns: int = 80) -> subprocess.CompletedProcess[str]:
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
        text = _ESCAPES.sub("", shown.decode()).replace("\r", "\n")
        return subprocess.CompletedProcess(command, process.returncode, text)

    return run


@pytest.fixture
def rankline(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a `rankline` command in this process, which spares it importing TensorFlow."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["rankline", *arguments])
        capfd.readouterr()
        status = 0
        try:
            cli.main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        return subprocess.CompletedProcess(arguments, status, *capfd.readouterr())

    return run
