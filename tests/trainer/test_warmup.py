"""Warm-up requests: their contents, and that a model answers them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from schema.feature_spec import LABEL
from trainer import models, warmup
from trainer.export import ServedModel
from trainer.heads import Logistic
from trainer.item_table import ItemTable
from trainer.params import TrainParams

Logs = list[prediction_log_pb2.PredictionLog]


def read(model_path: Path) -> Logs:
    records = tf.data.TFRecordDataset(str(model_path / "assets.extra" / "tf_serving_warmup_requests"))
    return [prediction_log_pb2.PredictionLog.FromString(record) for record in records.as_numpy_iterator()]


def signature_of(log: prediction_log_pb2.PredictionLog) -> str:
    return getattr(log, log.WhichOneof("log_type")).request.model_spec.signature_name


@pytest.fixture(scope="module")
def model_path(toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("warmup") / "model"
    model = models.build(toy.columns, TrainParams(hidden_units=(2,)))
    movies = np.array(["movie 0", "movie 1"], object)
    items = ItemTable(
        {"movie": movies, "genres": np.full((2, 0), "", object), "price in €": np.array([1, np.nan], "f")}
    )
    signatures = ServedModel(model, Logistic(), toy.spec, toy.transform_output, items).save(str(path))
    warmup.write(str(path), toy.spec, signatures, [str(toy.raw / "Split-eval" / "*")])
    return path


@pytest.fixture(scope="module")
def logs(model_path: Path) -> Logs:
    return read(model_path)


def test_every_signature_in_every_size(logs: Logs) -> None:
    rows = {
        "serving_default": lambda request: request.inputs["examples"].tensor_shape.dim[0].size,
        "rank": lambda request: request.inputs["movie"].tensor_shape.dim[0].size,
        "rank_ids": lambda request: request.inputs["items"].tensor_shape.dim[0].size,
        "recommend": lambda request: tf.make_ndarray(request.inputs["k"]),
        "classify": lambda request: len(request.input.example_list.examples),
        "regress": lambda request: len(request.input.example_list.examples),
    }
    seen = [
        (signature_of(log), rows[signature_of(log)](getattr(log, log.WhichOneof("log_type")).request)) for log in logs
    ]
    assert sorted(seen) == sorted((signature, size) for signature in rows for size in (1, 10, 100))


def test_requests_are_the_first_rows_as_a_client_would_ask(toy, logs: Logs) -> None:
    (log,) = [log for log in logs if log.WhichOneof("log_type") == "regress_log"][1:2]
    rows = toy.rows["eval"][:10]
    without_label = [{name: value for name, value in row.items() if name != LABEL} for row in rows]
    expected = [tf.train.Example.FromString(toy.example(row)) for row in without_label]
    assert list(log.regress_log.request.input.example_list.examples) == expected


def test_rank_sends_the_items_and_for_each_the_first_rows_group(toy, logs: Logs) -> None:
    (log,) = [log for log in logs if signature_of(log) == "rank"][1:2]
    inputs = {name: tf.make_ndarray(values) for name, values in log.predict_log.request.inputs.items()}
    assert {name: len(values) for name, values in inputs.items()} == dict.fromkeys(
        ("user", "age", "movie", "genres", "price in €"), 10
    )
    assert inputs["user"].tolist() == [toy.rows["eval"][0].get("user", -(2**63))] * 10
    assert inputs["movie"].tolist() == [row.get("movie", "").encode() for row in toy.rows["eval"][:10]]


def test_the_model_answers_them(model_path: Path, logs: Logs) -> None:
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.load(session, [tf.saved_model.SERVING], str(model_path))
        for log in logs:
            signature = loaded.signature_def[signature_of(log)]
            request = getattr(log, log.WhichOneof("log_type")).request
            if log.WhichOneof("log_type") == "predict_log":
                inputs = {name: tf.make_ndarray(values) for name, values in request.inputs.items()}
            else:
                inputs = {"inputs": [example.SerializeToString() for example in request.input.example_list.examples]}
            feed = {signature.inputs[name].name: values for name, values in inputs.items()}
            outputs = session.run({name: info.name for name, info in signature.outputs.items()}, feed)
            # The catalogue has two items.
            rows = (1, 2) if signature_of(log) == "recommend" else (1, 10, 100)
            assert all(len(values) in rows for values in outputs.values())


def test_few_rows_are_repeated(toy, tmp_path: Path) -> None:
    one = tmp_path / "one.gz"
    with tf.io.TFRecordWriter(str(one), "GZIP") as writer:
        writer.write(toy.example(toy.rows["eval"][0]))
    warmup.write(str(tmp_path), toy.spec, ["serving_default", "rank"], [str(one)])
    largest = read(tmp_path)[-2].predict_log.request.inputs["examples"]
    examples = tf.make_ndarray(largest)
    assert examples.shape == (100,)
    assert len(np.unique(examples)) == 1


def test_without_a_ranking_every_column_is_sent_for_each_row(toy, tmp_path: Path) -> None:
    spec = toy.spec.model_copy(update={"ranking": None})
    warmup.write(str(tmp_path), spec, ["serving_default", "rank"], [str(toy.raw / "Split-eval" / "*")])
    requests = [log.predict_log.request for log in read(tmp_path) if signature_of(log) == "rank"]
    assert {values.tensor_shape.dim[0].size for values in requests[-1].inputs.values()} == {100}
