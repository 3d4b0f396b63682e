"""Runs a compiled package as Kubeflow's driver and launcher do, with processes of this machine for pods."""

from __future__ import annotations

import concurrent.futures
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

SUCCEEDED = 0


class Package:
    """A package for Kubeflow Pipelines.

    Args:
        path: the YAML file.
    """

    def __init__(self, path: Path) -> None:
        self.spec, self.platform = yaml.safe_load_all(path.read_text())
        self.parameters = self.spec["root"]["inputDefinitions"]["parameters"]
        self._tasks = self.spec["root"]["dag"]["tasks"]
        self.tasks = {task["taskInfo"]["name"]: name for name, task in self._tasks.items()}
        """Node -> the name of its task."""

    def task(self, node: str) -> Any:
        return self._tasks[self.tasks[node]]

    def container(self, node: str) -> Any:
        component = self.spec["components"][self.task(node)["componentRef"]["name"]]
        return self.spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]

    def pod(self, node: str) -> Any:
        """What Kubernetes is to give the node's pod."""
        component = self.spec["components"][self.task(node)["componentRef"]["name"]]
        return self.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"][component["executorLabel"]]

    def upstream(self, node: str) -> set[str]:
        nodes = {task: name for name, task in self.tasks.items()}
        return {nodes[task] for task in self.task(node).get("dependentTasks", ())}

    def command(self, node: str, job_id: str, arguments: Mapping[str, object]) -> list[str]:
        """What the node's container runs.

        Args:
            node: which.
            job_id: the platform's name of the run.
            arguments: of the run; what is not among them is as the package says.
        """
        values = {}
        for name, source in self.task(node)["inputs"]["parameters"].items():
            if "runtimeValue" in source:
                constant = source["runtimeValue"]["constant"]
                values[name] = job_id if constant == "{{$.pipeline_job_uuid}}" else constant
            else:
                parameter = source["componentInputParameter"]
                values[name] = arguments.get(parameter, self.parameters[parameter].get("defaultValue"))
        container = self.container(node)
        placeholders = {
            f"{{{{$.inputs.parameters['{name}']}}}}": value if isinstance(value, str) else json.dumps(value)
            for name, value in values.items()
        }
        return [*container["command"], *(placeholders.get(argument, argument) for argument in container["args"])]

    def run(
        self,
        job_id: str,
        arguments: Mapping[str, object],
        logs: Path,
        secrets: Mapping[str, str],
        watch: Callable[[str, subprocess.Popen[bytes]], None] = lambda node, process: None,
    ) -> dict[str, int]:
        """Runs every node as soon as those before it have succeeded; where one fails, none after it.

        Args:
            job_id: the platform's name of the run.
            arguments: the parameters that are given.
            logs: a folder; receives what each node says, in `NODE.log`.
            secrets: variable -> value, of what the package takes from Secrets.
            watch: is given each node's process as it starts.

        Returns:
            Node -> exit status, of those that were started.
        """
        logs.mkdir(parents=True)
        done: dict[str, int] = {}
        running: dict[concurrent.futures.Future[int], str] = {}
        with concurrent.futures.ThreadPoolExecutor() as pool:
            while True:
                for node in self.tasks.keys() - done.keys() - set(running.values()):
                    if all(done.get(before) == SUCCEEDED for before in self.upstream(node)):
                        command = self.command(node, job_id, arguments)
                        future = pool.submit(self._run, node, command, logs / f"{node}.log", secrets, watch)
                        running[future] = node
                if not running:
                    return done
                finished, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in finished:
                    done[running.pop(future)] = future.result()

    def _run(
        self,
        node: str,
        command: list[str],
        log: Path,
        secrets: Mapping[str, str],
        watch: Callable[[str, subprocess.Popen[bytes]], None],
    ) -> int:
        # A pod has the image, in which `python` is that of the environment, what is said here, and nothing else.
        environment = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        environment |= {variable["name"]: variable["value"] for variable in self.container(node)["env"]}
        for secret in self.pod(node).get("secretAsEnv", ()):
            environment |= {key["envVar"]: secrets[key["envVar"]] for key in secret["keyToEnv"]}
        with tempfile.TemporaryDirectory() as folder, log.open("wb") as output:
            environment |= {"HOME": folder, "TMPDIR": folder}
            with subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output) as process:
                watch(node, process)
                return process.wait()
