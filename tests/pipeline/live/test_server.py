"""The server beside a run: it lives as long as the run, even if the run is killed."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from pipeline.live.server import server
from pipeline.run.layout import Layout
from serving.client import Client, DeadlineError, NotFoundError, UnavailableError

TIMEOUT_S = 60

PROGRAM = """
import sys, time
from pathlib import Path
from pipeline.run.layout import Layout
from pipeline.live.server import server

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


@pytest.fixture
def serve(tmp_path):
    """Runs `rankline serve` on a dataset in a folder, without models; gives what it has printed."""

    def serve() -> tuple[str, str]:
        (tmp_path / "toys").mkdir()
        (tmp_path / "toys" / "rows.csv").write_text("x,y\n1,0\n2,1\n")
        (tmp_path / "toys" / "features.yaml").write_text("label: y\n")
        command = [sys.executable, "-c", "from pipeline.cli import main; main()", "serve", "--port=0"]
        environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
        with subprocess.Popen(
            [*command, f"--dataset={tmp_path / 'toys'}", f"--root={tmp_path / 'runs'}", "--rest-api-port=0"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        ) as process:  # fmt: skip
            lines = [process.stdout.readline() for _ in range(2)]
            process.send_signal(signal.SIGTERM)  # which waits until TensorFlow is there
            out, errors = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 0
        return "".join(lines) + out, errors

    return serve


CALM = r"Listening on [\d.:]+ \(gRPC\), model toys from .*\nBase path .* does not exist; waiting for a version\n"


def test_what_tensorflow_says_when_it_starts_is_in_a_file(tmp_path, serve):
    out, errors = serve()
    assert re.fullmatch(CALM, out)
    assert errors == ""
    assert re.search(r"^I\d{4} .*TensorFlow binary", (tmp_path / "runs" / "toys" / "serve.log").read_text(), re.M)


def test_models_are_served_where_no_log_can_be_written(tmp_path, serve):
    (tmp_path / "runs" / "toys" / "serve.log").mkdir(parents=True)
    out, errors = serve()
    assert re.fullmatch(CALM, out)
    assert errors == ""
