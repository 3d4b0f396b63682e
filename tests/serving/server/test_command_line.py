"""`python -m serving.server` as a process: its flags, its output, its end."""

import re
import signal
import socket
import subprocess
import sys

import pytest

from serving.client import Client

LISTENING = re.compile(
    r"Listening on 127\.0\.0\.1:(?P<port>\d+) \(gRPC\)(?: and 127\.0\.0\.1:(?P<rest>\d+) \(REST\))?, "
    r"model (?P<model>\w+) from (?P<path>.*)\n"
)


@pytest.fixture
def start():
    """Starts servers, and sees to it that none outlives the test."""
    processes = []

    def start(*flags: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "serving.server", *flags]
        processes.append(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
        )
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_from_start_to_stop_two_calm_lines(start, push, base_path, number):
    push(1)
    server = start("--port=0", "--model_name", "toy", f"--model_base_path={base_path}")

    listening = LISTENING.fullmatch(server.stdout.readline())
    assert (listening["model"], listening["path"], listening["rest"]) == ("toy", str(base_path), None)
    assert re.fullmatch(r"Model toy version 1 is AVAILABLE, loaded in \d+\.\d s\n", server.stdout.readline())
    with Client(f"127.0.0.1:{listening['port']}", "toy") as client:
        assert client.rank({}, {"item": [1, 2]})[0].index == 1
    server.send_signal(number)
    rest_of_stdout, stderr = server.communicate(timeout=60)

    assert (server.returncode, rest_of_stdout, stderr) == (0, "", "")


def test_failure_and_recovery_take_a_line_each(start, push, base_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        rest_port = free.getsockname()[1]
    (base_path / "1").mkdir()
    server = start(
        "--port=0",
        f"--rest_api_port={rest_port}",
        "--model_name=toy",
        "--model_base_path",
        str(base_path),
        "--max_num_load_retries=0",
        "--file_system_poll_wait_seconds=0.05",
    )  # fmt: skip

    assert LISTENING.fullmatch(server.stdout.readline())["rest"] == str(rest_port)
    assert server.stdout.readline().startswith(
        "Model toy version 1 cannot be loaded: Could not find SavedModel .pb or .pbtxt"
    )
    push(2)
    assert server.stdout.readline().startswith("Model toy version 2 is AVAILABLE")


def test_stopping_before_there_is_a_model(start, base_path):
    server = start(
        "--port=0", f"--model_base_path={base_path / 'missing'}", "--num_load_threads=2", "--enable_profiler"
    )

    assert LISTENING.fullmatch(server.stdout.readline())["model"] == "default"
    assert server.stdout.readline() == f"Base path {base_path}/missing does not exist; waiting for a version\n"
    server.terminate()
    server.communicate(timeout=60)
    assert server.returncode == 0


def test_a_port_that_is_taken(start, base_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = start(f"--port={port}", f"--model_base_path={base_path}")
        stdout, stderr = server.communicate(timeout=60)

    assert (server.returncode, stdout) == (1, "")
    assert stderr == (
        f"Error: cannot listen on 127.0.0.1:{port}: the port is in use or not permitted. "
        "Stop what listens there, or choose another one with --port.\n"
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "expected --model_base_path or --model_config_file, received neither"),
        (["--model_base_path=x", "--port=http"], "Invalid value for '--port': 'http' is not a valid integer range"),
        (["--model_base_path=x", "--file_system_poll_wait_seconds=nan"], "nan is not a finite number"),
        (["--model_base_path=x", "--prot=1"], "No such option '--prot'"),
    ],
)
def test_wrong_flags(start, flags, message):
    server = start(*flags)
    _, stderr = server.communicate(timeout=60)

    assert server.returncode == 2
    assert message in stderr
