"""The tasks of a compiled package, each as a process of its own in an empty folder, with only a volume in common."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from ml_metadata.proto import metadata_store_pb2

from pipeline.config.metadata import PostgreSql, Sqlite
from pipeline.config.run import resolve
from pipeline.platforms.kubeflow.package import compile_package
from pipeline.run.history import list_runs
from pipeline.run.metadata import connection, open_store
from pipeline.run.node import REFUSED
from tests.e2e.conftest import files_that_tell
from tests.pipeline.packages import SUCCEEDED, Package
from tests.pipeline.postgres import PASSWORD, postgres

pytestmark = pytest.mark.long

RUN = "job-1"
BEFORE_TRAINER = {"ExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform"}


@dataclass(frozen=True)
class Cluster:
    """A package that was run: killed in its training, then once more under the same name."""

    package: Package
    volume: Path
    metadata: metadata_store_pb2.ConnectionConfig
    secrets: Mapping[str, str]
    killed: Mapping[str, int]
    done: Mapping[str, int]

    @property
    def artifacts(self) -> Path:
        return self.volume / "runs" / "stranger" / "artifacts"

    @property
    def serving(self) -> Path:
        return self.volume / "runs" / "stranger" / "serving"

    def log(self, folder: str, node: str) -> str:
        return (self.volume.parent / folder / f"{node}.log").read_text()


def _kill_in_training(log: Path, node: str, process: subprocess.Popen[bytes]) -> None:
    """Kills the Trainer once two epochs are over, of which one at least is saved."""

    def watch() -> None:
        while process.poll() is None:
            if "epoch 2:" in log.read_text():
                process.send_signal(signal.SIGKILL)
            time.sleep(0.01)

    if node == "Trainer":
        threading.Thread(target=watch, daemon=True).start()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def cluster(request, stranger, tmp_path_factory) -> Iterator[Cluster]:
    volume = tmp_path_factory.mktemp("cluster") / "volume"
    volume.mkdir()
    stranger.copy(volume / "their data")
    pods = {
        "image": "rankline:0.1.0",
        "volumes": [{"claim": "rankline", "path": str(volume)}],
        "root": str(volume / "runs"),
        "dataset": str(volume / "their data"),
    }
    if request.param == "sqlite":
        metadata = connection(Sqlite(), volume / "runs" / "metadata.sqlite")
        yield _killed_and_run_again(stranger, volume, {"kubeflow": pods}, metadata, {})
        return
    with postgres() as port:
        store = {"name": "postgresql", "host": "127.0.0.1", "port": port}
        metadata = connection(PostgreSql(**store), volume)
        metadata.postgresql.password = PASSWORD
        given = {"metadata": store, "kubeflow": pods | {"secrets": {"MLMD_PASSWORD": {"secret": "s", "key": "k"}}}}
        yield _killed_and_run_again(stranger, volume, given, metadata, {"MLMD_PASSWORD": PASSWORD})


def _killed_and_run_again(
    stranger: Any,
    volume: Path,
    given: Mapping[str, object],
    metadata: metadata_store_pb2.ConnectionConfig,
    secrets: Mapping[str, str],
) -> Cluster:
    base = volume.parent
    settings = [word for word in stranger.settings if word != "--set"]
    config = resolve(given, {"dataset": str(stranger.folder)}, settings, "configuration")
    compile_package(config, given, settings, base / "package.yaml")
    package = Package(base / "package.yaml")
    killed = package.run(
        RUN,
        {},
        base / "killed",
        secrets,
        lambda node, process: _kill_in_training(base / "killed" / "Trainer.log", node, process),
    )
    return Cluster(package, volume, metadata, secrets, killed, package.run(RUN, {}, base / "done", secrets))


def test_where_a_task_is_killed_nothing_runs_after_it(cluster):
    assert cluster.killed == dict.fromkeys(BEFORE_TRAINER, SUCCEEDED) | {"Trainer": -signal.SIGKILL}


def test_the_run_goes_on_from_there(cluster):
    """Nothing is made twice; but for the training, which goes on with the epochs that were saved."""
    assert cluster.done == dict.fromkeys(cluster.package.tasks, SUCCEEDED)
    for output in ("ExampleGen/examples", "StatisticsGen/statistics", "Transform/transform_graph"):
        assert len(list((cluster.artifacts / output).iterdir())) == 1
    assert "going on after epoch" in cluster.log("done", "Trainer")


def only(folder: Path) -> Path:
    (found,) = folder.iterdir()
    return found


def first(folder: Path) -> Path:
    """The output of the local run, after which other tests have run others."""
    return min(folder.iterdir(), key=lambda path: int(path.name))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_schema_and_transform_graph_are_those_of_a_local_run(cluster, stranger):
    local = stranger.root.path / "stranger" / "artifacts"
    assert files(only(cluster.artifacts / "SchemaGen" / "schema")) == files(first(local / "SchemaGen" / "schema"))
    graph, local_graph = (
        files(folder)
        for folder in (
            only(cluster.artifacts / "Transform" / "transform_graph"),
            first(local / "Transform" / "transform_graph"),
        )
    )
    assert set(graph) == set(local_graph)
    # The graph's own file names functions by a counter; what it computes is in the model's predictions.
    assert {name for name in graph if graph[name] != local_graph[name]} <= {
        "transform_fn/saved_model.pb",
        "transform_fn/fingerprint.pb",
    }


def test_metrics_are_those_of_a_local_run(cluster, stranger):
    (run,) = (run for run in list_runs(cluster.metadata) if run.run_id == RUN)
    summary = json.loads((stranger.root.logs()[1] / "summary.json").read_text())
    # Beam cuts batches as time allows, and float32 remembers: of two runs, 2e-9 was seen.
    assert run.metrics == pytest.approx(summary["metrics"], abs=1e-7)
    assert (run.blessed, run.pushed_version) == (True, only(cluster.serving).name)


def test_the_pushed_model_is_that_of_a_local_run(cluster, stranger):
    rows = tf.data.TFRecordDataset(
        [str(path) for path in only(cluster.artifacts / "ExampleGen" / "examples").glob("Split-test/*")], "GZIP"
    )
    examples = tf.constant(list(rows.as_numpy_iterator()))
    ours, local = (
        tf.saved_model.load(str(folder)).signatures["serving_default"](examples=examples)["probability"]
        for folder in (only(cluster.serving), stranger.root.serving / stranger.root.versions()[0])
    )
    assert len(examples) > 100
    np.testing.assert_array_equal(ours, local)


def test_a_refused_model_is_not_pushed_and_fails_the_run_once_that_is_reported(cluster):
    before = only(cluster.serving)
    statuses = cluster.package.run(
        "job-2",
        {"settings": [*cluster.package.parameters["settings"]["defaultValue"], "thresholds.auc.min=0.99"]},
        cluster.volume.parent / "refused",
        cluster.secrets,
    )
    assert statuses == dict.fromkeys(cluster.package.tasks, SUCCEEDED) | {"Report": REFUSED}
    for node in (*BEFORE_TRAINER, "Trainer"):
        assert f"{node}: unchanged\n" in cluster.log("refused", node)
    for node in ("Evaluator", "Report"):
        assert "auc: expected at least 0.99, received 0." in cluster.log("refused", node)
    report = max((cluster.artifacts / "Report" / "report").iterdir(), key=lambda folder: int(folder.name))
    assert "Refused" in (report / "report.html").read_text()
    assert only(cluster.serving) == before


def test_no_pod_tells_its_secrets(cluster):
    store = open_store(cluster.metadata)
    kept = f"{store.get_executions()}{store.get_artifacts()}{store.get_contexts()}"
    for value in cluster.secrets.values():
        assert files_that_tell(cluster.volume.parent, value) == []
        assert value not in kept
