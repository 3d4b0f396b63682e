"""Metrics that the test split's rows leave without a value, from TFMA's own pipeline to the report's page."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest
import tensorflow as tf
from tfx.types import standard_artifacts

from components.evaluation import bootstrap, gate, intervals, results, rows
from components.evaluation.tfma_config import computed
from components.evaluation.thresholds import DEFAULT_THRESHOLDS, applicable
from components.evaluation.verdict import Metric
from components.properties import METRICS_PROPERTY
from components.report import charts, curves

HEADER = "y,w,user,x,city,bought"


class Answers(tf.Module):
    """Answers by the feature x, whatever the kind of label."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def serving_default(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        x = tf.io.parse_example(examples, {"x": tf.io.FixedLenFeature([], tf.float32, 0.0)})["x"]
        probability = tf.sigmoid(x)
        return {"probability": probability, "probability_bought": probability, "prediction": x}


def lines(labels: list[float], city: str, weight: float = 1, user: str = "", bought: str = "1") -> list[str]:
    """A row for each label, of users of their own unless `user` is given."""
    return [
        f"{label},{weight},{user or f'{city}{n}'},{n % 5 / 3},{city},{bought}" for n, label in enumerate(labels)
    ]  # fmt: skip


BINARY = "{label: y, weight: w, ranking: {group: user, item: x}, slices: [city], features: {x: numeric}, SOURCE}"
OTHERS = "{label: y, other_labels: {bought: bought}, slices: [city], features: {x: numeric}, SOURCE}"
NUMBER = "{label: {column: y, number: true}, slices: [city], features: {x: numeric}, SOURCE}"
SOURCE = "source: {files: {train: train.csv, eval: train.csv, test: test.csv}}"
BOTH = [0, 1] * 60

CASES = {
    "slices of one class and of one row": (
        BINARY,
        [*lines(BOTH, "Oslo", user="u"), *lines([0] * 5, "Rome", user="v"), *lines([1], "Pisa", user="w")],
        [
            "auc of city = Rome (takes rows of both classes), calibration of city = Rome (takes a positive row), "
            "gauc of city = Rome (takes a user with rows of both classes), "
            "ndcg@10 of city = Rome (takes a user with a positive row), "
            "auc of city = Pisa (takes rows of both classes), "
            "gauc of city = Pisa (takes a user with rows of both classes)"
        ],
    ),
    "groups of one row": (
        BINARY,
        lines(BOTH, "Oslo"),
        [
            "gauc (takes a user with rows of both classes), "
            "gauc of city = Oslo (takes a user with rows of both classes)"
        ],
    ),
    "a slice that weighs nothing": (
        BINARY,
        [*lines(BOTH, "Oslo", user="u"), *lines([0, 1], "Rome", weight=0, user="v")],
        [
            "auc of city = Rome (takes rows of both classes), logloss of city = Rome (takes a row), "
            "calibration of city = Rome (takes a positive row), "
            "gauc of city = Rome (takes a user with rows of both classes), "
            "ndcg@10 of city = Rome (takes a user with a positive row)"
        ],
    ),
    "another label of one class": (
        OTHERS,
        lines(BOTH, "Oslo"),
        [
            "bought.auc (takes rows of both classes), "
            "bought.auc of city = Oslo (takes rows of both classes)"
        ],
    ),
    "another label that no row has": (
        OTHERS,
        lines(BOTH, "Oslo", bought=""),
        [
            ", ".join(
                f"bought.{name}{where} (takes {what})"
                for where in ("", " of city = Oslo")
                for name, what in (
                    ("auc", "rows of both classes"), ("logloss", "a row"), ("calibration", "a positive row"),
                )
            )
        ],
    ),
    "numbers that are all the same": (
        NUMBER,
        [*lines([1.5, 2.5] * 60, "Oslo"), *lines([0.1] * 3, "Rome"), *lines([3], "Pisa")],
        [
            "r2 of city = Rome (takes rows whose labels differ), "
            "r2 of city = Pisa (takes rows whose labels differ)"
        ],
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation left."""

    folder: str
    spec: object
    metrics: dict[str, float]


@pytest.fixture(scope="module")
def evaluate(tmp_path_factory, make_dataset, make_examples, run_evaluator):
    """Has the component evaluate `Answers`, beside itself, by the default thresholds on rows of such a dataset."""
    model = standard_artifacts.Model()
    model.uri, model.id = str(tmp_path_factory.mktemp("model")), 2
    answers = Answers()
    signatures = {"serving_default": answers.serving_default}
    tf.saved_model.save(answers, f"{model.uri}/Format-Serving", signatures=signatures)

    def run(description: str, rows: list[str]) -> Evaluated:
        folder = tmp_path_factory.mktemp("undefined")
        files = {"train.csv": lines([0, 1], "Oslo"), "test.csv": rows}
        texts = {name: "\n".join([HEADER, *content, ""]) for name, content in files.items()}
        dataset = make_dataset(folder / "data", description.replace("SOURCE", SOURCE), texts)
        examples = make_examples(dataset, folder / "examples")
        thresholds = applicable(DEFAULT_THRESHOLDS, dataset.spec)
        made, _ = run_evaluator(folder, dataset, {"examples": [examples], "model": [model]}, thresholds)
        metrics = json.loads(made.get_string_custom_property(METRICS_PROPERTY), parse_constant=pytest.fail)
        return Evaluated(made.uri, dataset.spec, metrics)

    return run


def told_without_value(folder: str) -> list[str]:
    return [line.removeprefix("no value: ") for line in gate.told(gate.read(folder)) if line.startswith("no value")]


@pytest.mark.parametrize(("description", "lines", "told"), CASES.values(), ids=CASES)
def test_it_is_told_and_the_page_goes_without(evaluate, description, lines, told):
    found = evaluate(description, lines)
    assert told_without_value(found.folder) == told
    assert gate.read(found.folder).unjudged == []
    missing = {part.split()[0] for part in told[0].split(", ") if " of " not in part.partition("(")[0]}
    assert set(found.metrics) == set(computed(found.spec)) - missing

    metrics, _ = report_on(found)
    assert {metric.name for metric in metrics if metric.estimate.value is None} == missing


def report_on(found: Evaluated) -> tuple[list[Metric], object]:
    """What the report makes of the kept rows: metrics, slices with their chart, and curves."""
    kept, sliced, names = rows.read(found.folder, found.spec), results.read(found.folder), computed(found.spec)
    counted = bootstrap.counts(kept)
    metrics = intervals.metrics(names, kept, counted, sliced[()])
    slices, _ = intervals.slices(names, kept, counted, sliced)
    assert charts.slices(slices, metrics[0]).startswith("<svg")
    assert all(np.isfinite(metric.estimate.value) for metric in metrics if metric.estimate.value is not None)
    return metrics, curves.curves(kept, counted)
