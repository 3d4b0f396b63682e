"""The main job's Beam pipelines, run once more by a Flink cluster of two TaskManagers, on the inputs that they had."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import requests
import tensorflow as tf
import tensorflow_data_validation as tfdv
import tensorflow_model_analysis as tfma
import tensorflow_transform as tft
from tensorflow_metadata.proto.v0 import statistics_pb2

from pipeline.config.run import load
from pipeline.flink import cluster
from pipeline.flink.jars import jars
from pipeline.run.graph import create_pipeline
from pipeline.run.node import CompiledPipeline
from schema.dataset import find
from schema.errors import RanklineError

pytestmark = pytest.mark.long

NODES = ("StatisticsGen", "Transform", "Evaluator")
SAME_BUCKETS = 0.999
"""Quantiles are approximate, and depend on which rows were counted together."""


def unavailable(reason: str) -> None:
    """Skips the tests; where CI has to run them, fails."""
    (pytest.fail if "CI" in os.environ else pytest.skip)(reason)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """With a cluster."""
    for program, package in (("java", "openjdk-17-jre-headless"), ("mvn", "maven")):
        if not shutil.which(program):
            unavailable(f"no {program} here: apt-get install {package}")
    try:
        jars()
    except RanklineError as error:
        unavailable(f"no Flink here: {error}")
    folder = tmp_path_factory.mktemp("flink") / "runs"
    try:
        cluster.up(folder, 2)
        yield folder
    finally:
        cluster.down(folder)


@dataclass(frozen=True)
class Outputs:
    """Folders of what both have written: key -> URI."""

    here: Mapping[str, str]
    flink: Mapping[str, str]
    metrics: Mapping[str, float]
    """As the Evaluator on Flink has left them."""


@pytest.fixture(scope="module")
def outputs(movielens, root) -> Outputs:
    # The components find their inputs in a copy of what the main job's run has noted, and write elsewhere.
    config = load(None, {"root": root, "beam.name": "flink", "cache": False}, ())
    shutil.copy(movielens.path / "metadata.sqlite", root)
    forget(root / "metadata.sqlite")
    pipeline = CompiledPipeline(create_pipeline(config, find("movielens")), movielens.logs()[0].name)
    written = {key: artifacts[0] for node in NODES for key, artifacts in pipeline.launch(node).outputs.items()}
    here = {}
    for key, artifact in written.items():
        (folder,) = (movielens.path / Path(artifact.uri).relative_to(root).parent).iterdir()
        here[key] = str(folder)
    flink = {key: artifact.uri for key, artifact in written.items()}
    return Outputs(here, flink, json.loads(written["evaluation"].get_string_custom_property("metrics")))


def forget(metadata: Path) -> None:
    """Has the run not know any longer that it has launched the components, so that they can be launched in it."""
    with contextlib.closing(sqlite3.connect(metadata)) as database, database:
        gone = database.executemany(
            "DELETE FROM Association WHERE execution_id IN (SELECT Execution.id FROM Execution "
            "JOIN Type ON Type.id = Execution.type_id WHERE Type.name LIKE '%.' || ?)",
            [(node,) for node in NODES],
        ).rowcount
    assert gone > 0


def test_both_task_managers_had_a_part(outputs, root):
    for number in (1, 2):
        log = (root / ".flink" / f"task-manager-{number}.log").read_text()
        assert "Python sdk harness starting" in log


def test_steps_ran_one_after_the_other(outputs, root):
    jobs = f"http://{cluster.Cluster.running(root).rest}/jobs"
    ids = [job["jid"] for job in requests.get(f"{jobs}/overview", timeout=30).json()["jobs"]]
    configs = [requests.get(f"{jobs}/{job}/config", timeout=30).json()["execution-config"] for job in ids]
    assert [config["execution-mode"] for config in configs] == ["BATCH_FORCED"] * len(NODES)


@pytest.mark.parametrize("split", ["train", "eval", "test"])
def test_statistics_are_the_same(outputs, split):
    here, flink = (
        tfdv.load_stats_binary(os.path.join(uri, f"Split-{split}", "FeatureStats.pb"))
        for uri in (outputs.here["statistics"], outputs.flink["statistics"])
    )
    assert flink.datasets[0].num_examples == here.datasets[0].num_examples > 0
    assert exact(flink) == exact(here)
    assert approximate(flink) == pytest.approx(approximate(here), rel=0.02)


def exact(statistics: statistics_pb2.DatasetFeatureStatisticsList) -> dict[str, object]:
    """What does not depend on which rows were counted together."""
    found = {}
    for feature in statistics.datasets[0].features:
        common = getattr(feature, feature.WhichOneof("stats")).common_stats
        found[feature.path.step[0]] = {
            "type": feature.type,
            "missing": common.num_missing,
            "present": common.num_non_missing,
            "values": common.tot_num_values,
            "least": feature.num_stats.min,
            "most": feature.num_stats.max,
            "zeros": feature.num_stats.num_zeros,
            "unique": feature.string_stats.unique,
            "counts": sorted(
                (bucket.label, bucket.sample_count) for bucket in feature.string_stats.rank_histogram.buckets
            ),
        }
    return found


def approximate(statistics: statistics_pb2.DatasetFeatureStatisticsList) -> dict[str, float]:
    numbers = {feature.path.step[0]: feature.num_stats for feature in statistics.datasets[0].features}
    return {
        f"{name}: {what}": getattr(feature, what)
        for name, feature in numbers.items()
        for what in ("mean", "std_dev", "median")
    }


def test_vocabularies_are_the_same(outputs):
    here, flink = (
        {path.name: path.read_bytes() for path in (Path(uri) / "transform_fn" / "assets").iterdir()}
        for uri in (outputs.here["transform_graph"], outputs.flink["transform_graph"])
    )
    assert here.keys() == flink.keys() != set()
    assert here == flink


def test_the_graphs_make_the_same_of_the_test_split(movielens, outputs):
    graphs = [tft.TFTransformOutput(found["transform_graph"]) for found in (outputs.here, outputs.flink)]
    files = (movielens.path / "movielens/artifacts/ExampleGen/examples").glob("*/Split-test/*")
    rows = list(tf.data.TFRecordDataset([str(file) for file in files], "GZIP").as_numpy_iterator())
    raw = tf.io.parse_example(tf.constant(rows), graphs[0].raw_feature_spec())
    here, flink = (graph.transform_features_layer()(dict(raw)) for graph in graphs)
    assert here.keys() == flink.keys()
    for name in here:
        ours, theirs = (np.asarray(getattr(column, "values", column)) for column in (here[name], flink[name]))
        if ours.dtype == np.float32:
            np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-5, err_msg=name)
        else:
            assert np.mean(ours == theirs) >= SAME_BUCKETS, name


@pytest.mark.parametrize("split", ["train", "eval"])
def test_as_many_rows_are_transformed(outputs, split):
    here, flink = (
        sum(1 for file in Path(uri, f"Split-{split}").iterdir() for _ in tf.data.TFRecordDataset(str(file), "GZIP"))
        for uri in (outputs.here["transformed_examples"], outputs.flink["transformed_examples"])
    )
    assert flink == here > 0


def test_metrics_are_the_same_in_every_slice(outputs):
    here, flink = (by_slice(found["evaluation"]) for found in (outputs.here, outputs.flink))
    assert len(here) > len(outputs.metrics)  # there are slices
    # Batches of other sizes give predictions other last digits, which decide about ties.
    assert flink == pytest.approx(here, abs=1e-4, nan_ok=True)
    assert {name: flink[(), name] for name in outputs.metrics} == outputs.metrics


def by_slice(evaluation: str) -> dict[tuple[object, str], float]:
    return {
        (key, name): value["doubleValue"]
        for key, outputs in tfma.load_eval_result(evaluation).slicing_metrics
        for sub_keys in outputs.values()
        for metrics in sub_keys.values()
        for name, value in metrics.items()
        if "doubleValue" in value
    }
