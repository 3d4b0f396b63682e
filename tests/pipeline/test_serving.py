"""The server beside a run: it is there for as long as the run, however that ends."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from pipeline.layout import Layout
from pipeline.serving import server
from serving.client import Client, DeadlineError, NotFoundError, UnavailableError

TIMEOUT_S = 60

PROGRAM = """
import sys, time
from pathlib import Path
from pipeline.layout import Layout
from pipeline.serving import server

with server(Layout(Path(sys.argv[1]), "toys"), Path(sys.argv[1]) / "server.log") as target:
    print(target, flush=True)
    time.sleep(600)
"""


def is_up(target: str) -> bool:
    """Whether a server without models answers."""
    with Client(target, "toys", timeout_s=0.5) as client:
        try:
            client.status()
        except NotFoundError:
            return True
        except (UnavailableError, DeadlineError):
            return False
    raise AssertionError("nobody has pushed a model")


def wait_for(condition) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_server_waits_for_a_first_model_and_ends_with_the_block(tmp_path):
    with server(Layout(tmp_path, "toys"), tmp_path / "server.log") as target:
        wait_for(lambda: is_up(target))
    assert not is_up(target)
    log = (tmp_path / "server.log").read_text()
    assert re.search(rf"Listening on {target} \(gRPC\), model toys from {tmp_path}/toys/serving\n", log)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_ends_with_a_run_that_is_killed(tmp_path, number):
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)], stdout=subprocess.PIPE, text=True) as run:
        target = run.stdout.readline().strip()
        wait_for(lambda: is_up(target))
        os.kill(run.pid, number)
    wait_for(lambda: not is_up(target))
