"""The start, use and stop of a cluster with all its processes, here stand-ins for Java's programs."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from pipeline.flink import cluster
from pipeline.flink.cluster import Cluster
from schema.errors import RanklineError
from tests.serving.asking import wait_until

JAVA = f"""#!{sys.executable} -S
import http.server, json, pathlib, re, signal, socket, sys, time
command = " ".join(sys.argv)
folder = pathlib.Path(__file__).parent
if folder.joinpath("broken").exists() and folder.joinpath("broken").read_text() in command:
    sys.exit("there is no more memory")
if "FlinkJobServerDriver" in command and (taken := folder / "taken").exists():
    left = int(taken.read_text()) - 1
    taken.write_text(str(left)) if left else taken.unlink()
    sys.exit("java.net.BindException: Address already in use\\n\\tat java.base/java.lang.Thread.run\\nClassNotFound")
if "StandaloneSessionClusterEntrypoint" in command:
    settings = pathlib.Path(re.search("--configDir (.*)", command)[1], "config.yaml").read_text()
    slots = int(re.search("parallelism.default: (.*)", settings)[1])
    class Overview(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({{"taskmanagers": slots}}).encode())
    http.server.HTTPServer(("127.0.0.1", int(re.search("rest.port: (.*)", settings)[1])), Overview).serve_forever()
if "FlinkJobServerDriver" in command:
    if folder.joinpath("stubborn").exists():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    listener = socket.create_server(("127.0.0.1", int(re.search("--job-port=([0-9]*)", command)[1])))
time.sleep(600)
"""


@pytest.fixture
def java(tmp_path, monkeypatch) -> Path:
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    program.write_text(JAVA)
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(cluster, "jars", lambda: tmp_path / "jars")
    return program


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "all runs"
    yield folder
    cluster.down(folder)


def is_running(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_up_and_down(java, root):
    started = cluster.up(root, 2)
    assert set(started.pids) == {"job-manager", "task-manager-1", "task-manager-2", "job-server"}
    assert all(map(is_running, started.pids.values()))
    assert Cluster.running(root) == started

    assert cluster.down(root)
    assert not any(map(is_running, started.pids.values()))
    assert (root / ".flink" / "job-server.log").exists()
    assert not cluster.down(root)


def test_one_that_is_up_is_left_as_it_is(java, root):
    started = cluster.up(root, 1)
    assert cluster.up(root, 1) == started
    with pytest.raises(
        RanklineError, match=r"^expected no cluster or one of 2 TaskManagers, found one of 1: .*flink-down"
    ):
        cluster.up(root, 2)
    assert Cluster.running(root) == started


def test_one_that_has_lost_a_process_is_no_cluster(java, root):
    started = cluster.up(root, 1)
    os.kill(started.pids["task-manager-1"], signal.SIGKILL)
    while is_running(started.pids["task-manager-1"]):
        time.sleep(0.01)
    with pytest.raises(
        RanklineError, match=r"found one without task-manager-1: start one with `rankline flink-up --root"
    ):
        Cluster.running(root)

    another = cluster.up(root, 1)
    assert Cluster.running(root) == another
    assert not any(map(is_running, started.pids.values()))


def test_what_does_not_end_by_itself_is_ended(java, root, monkeypatch):
    (java.parent / "stubborn").touch()
    monkeypatch.setattr(cluster, "_STOP_S", 0.5)
    started = cluster.up(root, 1)
    assert cluster.down(root)
    # One that is killed has no command line any more, some moments before it is gone.
    wait_until(lambda: not any(map(is_running, started.pids.values())))


def test_a_process_of_another_program_is_not_taken_for_ours(java, root):
    started = cluster.up(root, 1)
    cluster.down(root)
    with_our_id = started.model_copy(update={"pids": {**started.pids, "job-server": os.getpid()}})
    (root / ".flink" / "cluster.json").write_text(with_our_id.model_dump_json())
    (root / ".flink" / "tmp").mkdir()
    with pytest.raises(RanklineError, match="found one without job-manager, task-manager-1, job-server"):
        Cluster.running(root)
    assert cluster.down(root)  # and this test goes on


def test_what_does_not_start_is_said_and_nothing_is_left(java, root):
    (java.parent / "broken").write_text("FlinkJobServerDriver")
    with pytest.raises(RanklineError) as raised:
        cluster.up(root, 1)
    assert str(raised.value) == (
        f"expected job-server to start, but it has ended; the end of {root}/.flink/job-server.log:\n"
        "there is no more memory"
    )
    assert Cluster.of(root).alive(root) == {}


@pytest.mark.parametrize("times", [1, 2])
def test_a_port_that_another_process_takes_is_replaced(java, root, times):
    (java.parent / "taken").write_text(str(times))
    started = cluster.up(root, 1)
    assert not (java.parent / "taken").exists()
    assert Cluster.running(root) == started


def test_ports_that_are_always_taken_are_said(java, root):
    (java.parent / "taken").write_text("3")
    with pytest.raises(RanklineError, match=r"job-server to start.*:\njava.net.BindException: Address already in use$"):
        cluster.up(root, 1)
    assert not (java.parent / "taken").exists()
    assert Cluster.of(root).alive(root) == {}


def test_no_java(root, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RanklineError, match=r"^expected Java .*found none"):
        cluster.up(root, 1)


def test_the_commands(java, root, rankline):
    up = rankline("flink-up", "--root", str(root), "--task-managers", "1")
    endpoint = Cluster.running(root).job_endpoint
    assert (up.returncode, up.stderr) == (0, "")
    assert up.stdout.startswith("Flink is up, TaskManagers: 1, ")
    assert endpoint in up.stdout
    for said in ("Flink is down.\n", "No Flink cluster was up.\n"):
        assert rankline("flink-down", "--root", str(root)).stdout == said
