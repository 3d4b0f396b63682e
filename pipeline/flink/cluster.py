"""A Flink cluster of processes on this machine, with Beam's job server: one JobManager, and TaskManagers.

The workers are Python processes of this environment. All files are in a folder below the root of all runs:

.flink/cluster.json     the processes' addresses and ids
.flink/<process>.log    the processes' logs
.flink/workers.log      the workers' output before they reach Flink
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import portpicker
import yaml
from pydantic import BaseModel, ConfigDict

from pipeline.flink.jars import jars
from schema.errors import RanklineError, listing

_FILE = "cluster.json"
_START_S = 180.0
_STARTS = 3
_STOP_S = 20.0
_POLL_S = 0.2

_JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
_JOB_SERVER = "org.apache.beam.runners.flink.FlinkJobServerDriver"

# The modules of Java 17 that Flink's own scripts open to it.
_MODULES = [
    *(f"--add-exports={name}=ALL-UNNAMED" for name in (
        "java.base/sun.net.util", "java.rmi/sun.rmi.registry", "java.security.jgss/sun.security.krb5",
    )),
    *(f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in (
        "java.lang", "java.lang.reflect", "java.io", "java.net", "java.nio", "java.text", "java.time", "java.util",
        "java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks", "sun.nio.ch",
    )),
]  # fmt: skip
_LOGGING = ["-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS"]

# Flink's scripts compute these from one number; without the scripts, each must be given.
_TASK_MANAGER_MEMORY = {
    "framework.heap.size": "128m",
    # A step's output waits there until the step ends: up to a hundred messages of some ten megabytes.
    "task.heap.size": "1920m",
    "framework.off-heap.size": "128m",
    # The same messages need room while they arrive.
    "task.off-heap.size": "512m",
    # A pipeline of TFX has hundreds of steps, and each pair that exchanges rows needs buffers.
    "network.min": "256m",
    "network.max": "256m",
    "managed.size": "256m",
    "jvm-metaspace.size": "256m",
    "jvm-overhead.min": "192m",
    "jvm-overhead.max": "192m",
}
_HEAP = ["-Xmx512m"]
_TASK_MANAGER_JVM = ["-Xmx2048m", "-XX:MaxDirectMemorySize=896m", "-XX:MaxMetaspaceSize=256m"]


class Cluster(BaseModel):
    """A started cluster."""

    model_config = ConfigDict(frozen=True)

    rest: str
    """The address (host:port) of Flink's REST API."""
    job_endpoint: str
    """The address (host:port) of Beam's job server."""
    slots: int
    """The number of parts of a job that run at once."""
    pids: Mapping[str, int]
    """The ids of the processes, by name."""

    @classmethod
    def of(cls, root: Path) -> Self | None:
        """The cluster that was started for a root, even if it no longer runs; None if there is none."""
        file = _folder(root) / _FILE
        return cls.model_validate_json(file.read_text()) if file.is_file() else None

    @classmethod
    def running(cls, root: Path) -> Self:
        """The cluster of a root, with all processes alive.

        Raises:
            RanklineError: no such cluster runs.
        """
        cluster = cls.of(root)
        if cluster is None or cluster.dead(root):
            found = f"one without {listing(cluster.dead(root))}" if cluster else "none"
            raise RanklineError(
                f"beam: expected a Flink cluster of the root {root}, found {found}: start one with "
                f"`rankline flink-up --root {shlex.quote(str(root))}`, or name another one's job_endpoint"
            )
        return cluster

    def alive(self, root: Path) -> dict[str, int]:
        """The members of `pids` whose processes are alive."""
        return {name: pid for name, pid in self.pids.items() if _is_ours(pid, root)}

    def dead(self, root: Path) -> list[str]:
        """The names of the processes that are not alive."""
        return [name for name in self.pids if name not in self.alive(root)]


def worker_command(root: Path) -> Path:
    """The executable file that the TaskManagers run as a worker."""
    return _folder(root) / "worker"


def up(root: Path, task_managers: int) -> Cluster:
    """Starts a cluster and waits until it can be used. A cluster that already runs is left unchanged.

    A port is free when it is chosen, and a Java process binds it seconds later. If another process takes it in
    between, the cluster starts again with other ports.

    Args:
        root: the root of all runs.
        task_managers: the number of TaskManagers, of one slot each.

    Raises:
        RanklineError: there is no Java, the jars cannot be fetched, a cluster of another size runs, or a process does
            not start.
    """
    found = Cluster.of(root)
    if found and not found.dead(root):
        if found.slots != task_managers:
            raise RanklineError(
                f"expected no cluster or one of {task_managers} TaskManagers, found one of {found.slots}: "
                f"stop it with `rankline flink-down --root {shlex.quote(str(root))}`"
            )
        return found
    for _ in range(_STARTS - 1):
        with contextlib.suppress(_PortTakenError):
            return _up_once(root, task_managers)
    return _up_once(root, task_managers)


def down(root: Path) -> bool:
    """Stops the cluster of a root and its workers. Their logs stay until the next cluster starts.

    Returns:
        Whether there was a cluster.
    """
    cluster = Cluster.of(root)
    if cluster:
        _stop(cluster, root)
        (_folder(root) / _FILE).unlink()
        shutil.rmtree(_folder(root) / "tmp")
    return cluster is not None


class _PortTakenError(RanklineError):
    """A process could not bind its port."""


def _up_once(root: Path, task_managers: int) -> Cluster:
    """Starts a cluster with ports that are free now.

    Raises:
        _PortTakenError: another process took one of them.
        RanklineError: as for `up`.
    """
    down(root)
    shutil.rmtree(_folder(root), ignore_errors=True)
    java = shutil.which("java")
    if not java:
        raise RanklineError("expected Java 17 (java) on the path, found none: install openjdk-17-jre-headless")
    class_path = f"{jars()}/*"
    folder = _folder(root)
    (folder / "tmp").mkdir(parents=True)
    rpc_port, rest_port, job_port, artifact_port, expansion_port = (portpicker.pick_unused_port() for _ in range(5))
    rest, job_endpoint = f"127.0.0.1:{rest_port}", f"127.0.0.1:{job_port}"
    _configure(folder, rpc_port, rest_port, task_managers)
    _write_worker(worker_command(root))
    flink = ["--configDir", str(_conf(root))]
    beam = [
        f"--flink-master={rest}",
        f"--flink-conf-dir={_conf(root)}",
        "--job-host=127.0.0.1",
        f"--job-port={job_port}",
        f"--artifact-port={artifact_port}",
        f"--expansion-port={expansion_port}",
        f"--artifacts-dir={folder / 'tmp' / 'artifacts'}",
    ]
    commands = {
        "job-manager": [*_HEAP, _JOB_MANAGER, *flink],
        **{f"task-manager-{n}": [*_TASK_MANAGER_JVM, _TASK_MANAGER, *flink] for n in range(1, task_managers + 1)},
        "job-server": [*_HEAP, _JOB_SERVER, *beam],
    }
    pids: dict[str, int] = {}
    for name, command in commands.items():
        pids[name] = _start([java, *_MODULES, *_LOGGING, "-cp", class_path, *command], folder / f"{name}.log")
        # Before anything can go wrong, so that `down` can stop what runs.
        cluster = Cluster(rest=rest, job_endpoint=job_endpoint, slots=task_managers, pids=pids)
        (folder / _FILE).write_text(cluster.model_dump_json(indent=2) + "\n")
    try:
        _wait_until_usable(cluster, root)
    except BaseException:
        _stop(cluster, root)
        raise
    return cluster


def _folder(root: Path) -> Path:
    return root.resolve() / ".flink"


def _conf(root: Path) -> Path:
    return _folder(root) / "conf"


def _configure(folder: Path, rpc_port: int, rest_port: int, slots: int) -> None:
    here = "127.0.0.1"
    settings = {
        "jobmanager.rpc.address": here,
        "jobmanager.rpc.port": rpc_port,
        "jobmanager.bind-host": here,
        "rest.address": here,
        "rest.bind-address": here,
        "rest.port": rest_port,
        "taskmanager.host": here,
        "taskmanager.bind-host": here,
        "taskmanager.numberOfTaskSlots": 1,
        "taskmanager.cpu.cores": 1,
        **{f"taskmanager.memory.{key}": value for key, value in _TASK_MANAGER_MEMORY.items()},
        "taskmanager.network.sort-shuffle.min-buffers": 64,
        "parallelism.default": slots,
        "io.tmp.dirs": str(folder / "tmp"),
        # Each job submits the jars, which are already here.
        "classloader.resolve-order": "parent-first",
        "blob.service.cleanup.interval": 60,
    }
    (folder / "conf").mkdir()
    (folder / "conf" / "config.yaml").write_text(yaml.safe_dump(settings))


def _write_worker(file: Path) -> None:
    environment = f"PYTHONPATH={shlex.quote(str(Path(__file__).parents[2]))}"
    command = f"{shlex.quote(sys.executable)} -m pipeline.flink.worker"
    log = shlex.quote(str(file.with_name("workers.log")))
    file.write_text(f'#!/bin/sh\nexec env {environment} {command} "$@" >>{log} 2>&1\n')
    file.chmod(0o700)


def _start(command: Sequence[str], log: Path) -> int:
    """Starts a process that outlives this one; returns its id."""
    shell = ["/bin/sh", "-c", '"$@" </dev/null >>"$0" 2>&1 & echo $!', str(log), *command]
    done = subprocess.run(shell, stdout=subprocess.PIPE, check=True, start_new_session=True, cwd=log.parent)
    return int(done.stdout)


def _is_ours(pid: int, root: Path) -> bool:
    """Whether a process is one of the cluster's, and not a later one with the same id."""
    try:
        return str(_conf(root)).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _wait_until_usable(cluster: Cluster, root: Path) -> None:
    deadline = time.monotonic() + _START_S
    while not (_task_managers(cluster) == cluster.slots and _answers(cluster.job_endpoint)):
        if dead := cluster.dead(root):
            log = _folder(root) / f"{dead[0]}.log"
            said = [line for line in log.read_text(errors="replace").splitlines() if not line.startswith("\t")]
            taken = [line for line in said if "BindException" in line]
            kind = _PortTakenError if taken else RanklineError
            end = "\n".join((taken or said)[-5:])
            raise kind(f"expected {dead[0]} to start, but it has ended; the end of {log}:\n{end}")
        if time.monotonic() > deadline:
            raise RanklineError(f"expected a cluster within {_START_S:g} s; its logs are {_folder(root)}/*.log")
        time.sleep(_POLL_S)


def _task_managers(cluster: Cluster) -> int:
    """The number of TaskManagers that have found their JobManager."""
    connection = http.client.HTTPConnection(cluster.rest, timeout=_POLL_S * 10)
    try:
        connection.request("GET", "/overview")
        return int(json.load(connection.getresponse()).get("taskmanagers", 0))
    except (OSError, ValueError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def _answers(endpoint: str) -> bool:
    host, _, port = endpoint.partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_POLL_S * 10).close()
    except OSError:
        return False
    return True


def _stop(cluster: Cluster, root: Path) -> None:
    """Asks all processes to end, and kills those that do not."""
    for number, seconds in ((signal.SIGTERM, _STOP_S), (signal.SIGKILL, _STOP_S)):
        for pid in cluster.alive(root).values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while cluster.alive(root) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
