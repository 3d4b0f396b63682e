"""No training-serving skew: all ways to score a row of MovieLens' test split agree."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import apache_beam as beam
import ml_metadata as mlmd
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
from ml_metadata.proto import metadata_store_pb2
from sklearn.metrics import roc_auc_score
from tfx.types import artifact_utils, standard_artifacts

from components.evaluation import tfma_extracts
from components.evaluator import Executor
from pipeline.config.beam import Direct
from schema.dataset import find
from schema.feature_spec import LABEL, FeatureSpec
from serving.client import Client
from serving.server import Server, ServerOptions

TOLERANCE = 1e-5
BATCH = 1000
TIMEOUT_S = 60
USER_COLUMNS = ("user_id", "gender", "age", "occupation", "zip_prefix")


@pytest.fixture(scope="module")
def rows(movielens) -> list[bytes]:
    """The test split, as ExampleGen wrote it."""
    files = sorted((movielens.path / "movielens/artifacts/ExampleGen/examples").glob("*/Split-test/*"))
    records = tf.data.TFRecordDataset([str(file) for file in files], compression_type="GZIP")
    return list(records.as_numpy_iterator())


@pytest.fixture(scope="module")
def in_process(movielens, rows) -> np.ndarray:
    """What the pushed SavedModel says."""
    (version,) = movielens.serving.iterdir()
    model = tf.saved_model.load(str(version))
    predict = model.signatures["serving_default"]
    batches = [predict(examples=tf.constant(batch))["probability"].numpy() for batch in batched(rows)]
    return np.concatenate(batches)


@pytest.fixture(scope="module")
def client(movielens) -> Iterator[Client]:
    """Asks a server of the pushed model."""
    with Server(ServerOptions("movielens", str(movielens.serving))) as server:
        server.wait_until_available(TIMEOUT_S)
        with Client(f"127.0.0.1:{server.port}", "movielens", TIMEOUT_S) as client:
            yield client


def batched(rows: list[bytes]) -> list[list[bytes]]:
    return [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]


def test_the_server_says_what_the_model_says(client, rows, in_process):
    served = np.concatenate([client.predict(batch)["probability"] for batch in batched(rows)])
    np.testing.assert_allclose(served, in_process, rtol=0, atol=TOLERANCE)


def values(row: bytes, spec: FeatureSpec) -> Mapping[str, Any]:
    """The row's columns, as a client would give them; without those that are missing."""
    found = {}
    for name, feature in tf.train.Example.FromString(row).features.feature.items():
        if kind := feature.WhichOneof("kind"):
            listed = list(getattr(feature, kind).value)
            found[name] = listed if spec.columns.get(name, "float").endswith("s") else listed[0]
    return found


def test_the_rank_signature_says_what_the_model_says(client, rows, in_process):
    """Each user's rows as one request, in which what describes the user is sent once."""
    by_user = defaultdict(list)
    spec = find("movielens").spec
    parsed = [values(row, spec) for row in rows]
    for index, row in enumerate(parsed):
        by_user[row["user_id"]].append(index)
    others = [name for name in spec.input_columns if name not in USER_COLUMNS]
    assert others == ["item_id", "genres", "year", "hour", "weekday"]

    ranked = np.full(len(rows), np.nan)
    for indices in by_user.values():
        context = {name: parsed[indices[0]][name] for name in USER_COLUMNS}
        candidates = {name: [parsed[index].get(name) for index in indices] for name in others}
        for item in client.rank(context, candidates):
            ranked[indices[item.index]] = item.score
    np.testing.assert_allclose(ranked, in_process, rtol=0, atol=TOLERANCE)


_evaluated: dict[bytes, float] = {}


def with_a_look_at_predictions(**arguments: Any) -> list[tfma.extractors.Extractor]:
    """The Evaluator's own extractors, and one that notes what the model has said, before all but numbers is dropped."""
    look = tfma.extractors.Extractor(stage_name="Look", ptransform="Look" >> beam.Map(_note))
    extractors = tfma_extracts.custom_extractors(**arguments)
    before = [extractor.stage_name for extractor in extractors].index("KeepWhatMetricsRead")
    return [*extractors[:before], look, *extractors[before:]]


def _note(batch: tfma.Extracts) -> tfma.Extracts:
    probabilities = batch[tfma.PREDICTIONS_KEY]["probability"]
    _evaluated.update(zip(batch[tfma.INPUT_KEY].tolist(), np.ravel(probabilities).tolist(), strict=True))
    return batch


@pytest.fixture(scope="module")
def evaluation(movielens, tmp_path_factory) -> standard_artifacts.ModelEvaluation:
    """The Evaluator once more, on the inputs and with the configuration that it had in the run, being watched."""
    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(movielens.path / "metadata.sqlite")
    store = mlmd.MetadataStore(config)
    (execution, *_) = (e for e in store.get_executions() if "eval_config" in e.custom_properties)
    properties = {name: value.string_value for name, value in execution.custom_properties.items()}
    inputs = {"examples": standard_artifacts.Examples, "model": standard_artifacts.Model,
              "schema": standard_artifacts.Schema}  # fmt: skip
    folder = movielens.path / "movielens" / "artifacts"
    places = {"examples": "ExampleGen/examples", "model": "Trainer/model", "schema": "SchemaGen/schema"}
    artifacts = {}
    for name, kind in inputs.items():
        artifacts[name] = kind()
        (uri,) = (folder / places[name]).iterdir()
        artifacts[name].uri = str(uri)
    artifacts["examples"].split_names = artifact_utils.encode_split_names(["train", "eval", "test"])

    evaluation, blessing = standard_artifacts.ModelEvaluation(), standard_artifacts.ModelBlessing()
    out = tmp_path_factory.mktemp("evaluation")
    evaluation.uri, blessing.uri = str(out / "evaluation"), str(out / "blessing")
    context = Executor.Context(beam_pipeline_args=Direct().arguments(), tmp_dir=str(out), unique_id="0")
    _evaluated.clear()
    Executor(context).Do(
        {name: [artifact] for name, artifact in artifacts.items()},
        {"evaluation": [evaluation], "blessing": [blessing]},
        {
            **{name: properties[name] for name in ("eval_config", "example_splits", "spec", "thresholds", "params")},
            "custom_extractors": f"{__name__}.{with_a_look_at_predictions.__name__}",
        },
    )
    return evaluation


def test_the_evaluator_says_what_the_model_says(evaluation, rows, in_process):
    assert set(_evaluated) == set(rows)
    evaluated = np.array([_evaluated[row] for row in rows])
    np.testing.assert_allclose(evaluated, in_process, rtol=0, atol=TOLERANCE)


def test_the_metrics_shown_are_those_of_the_served_predictions(movielens, evaluation, rows, in_process):
    labels = [tf.train.Example.FromString(row).features.feature[LABEL].float_list.value[0] for row in rows]
    shown = json.loads((movielens.logs()[0] / "summary.json").read_text())["metrics"]
    # Batches of other sizes give other last digits, which decide about ties.
    assert json.loads(evaluation.get_string_custom_property("metrics")) == pytest.approx(shown, abs=1e-4)
    assert shown["auc"] == pytest.approx(roc_auc_score(labels, in_process), abs=1e-3)
    assert shown["calibration"] == pytest.approx(in_process.mean() / np.mean(labels), rel=1e-4)
