"""Trainings on a handful of columns: their results, by familiarity, and the tables."""

from __future__ import annotations

import dataclasses
import io
import json
import math

import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from pipeline.jobs.compare import show
from pipeline.jobs.compare.data import ComparedData, RankedLists
from pipeline.jobs.compare.metrics import JudgedRows
from pipeline.jobs.compare.run import Comparison, Trained, compare
from schema.feature_spec import LABEL, WEIGHT
from trainer.input_columns import InputColumn
from trainer.inputs import InMemoryExamples
from trainer.models.candidates import Candidates
from trainer.params import TrainParams

BOTH = ("wide", "deep")
COLUMNS = (
    InputColumn("user", "categorical", BOTH, size=10, width=4, table="user", role="group", side="context"),
    InputColumn("item", "categorical", BOTH, size=12, width=4, table="item", role="item", side="item"),
)


def rows(count: int, seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    user, item = random.integers(10, size=count), random.integers(12, size=count)
    label = (item % 3 + random.normal(size=count) > 1).astype(np.float32)
    return {"user": user, "item": item, LABEL: label, WEIGHT: np.ones(count, np.float32)}


def examples(columns: dict[str, np.ndarray]) -> InMemoryExamples:
    return InMemoryExamples({name: tf.constant(values) for name, values in columns.items()})


TEST = rows(90, seed=3)
SEEN = np.repeat([0, 3, 10], 30)
DATA = ComparedData(
    columns=COLUMNS,
    train=examples(rows(600, seed=1)),
    held_out=examples(rows(200, seed=2)),
    test=[{name: tf.constant(TEST[name][start : start + 45]) for name in ("user", "item")} for start in (0, 45)],
    judged=JudgedRows(TEST[LABEL].astype(float), TEST[WEIGHT].astype(float), TEST["user"]),
    seen={"item": SEEN},
    lists=RankedLists(
        [
            Candidates({"user": tf.constant([user], tf.int64), "item": tf.range(12, dtype=tf.int64)}, tf.constant(12))
            for user in (0, 1)
        ],
        np.arange(12),
    ),
)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    started: list[tuple[str, int]] = []
    common = {"epochs": 3, "batch_size": 32, "hidden_units": (8,), "deep_optimizer": {"learning_rate": 0.01}}
    params = {name: TrainParams(model=name, **common) for name in ("wide", "deep")}
    found = compare("toy", DATA, params, [0, 1], lambda *call: started.append(call), lambda: None)
    assert started == [("wide", 0), ("wide", 1), ("deep", 0), ("deep", 1)]
    return found


def test_every_model_is_trained_with_every_seed(comparison: Comparison) -> None:
    assert {name: len(trained) for name, trained in comparison.models.items()} == {"wide": 2, "deep": 2}
    for trained in comparison.models["deep"]:
        assert set(trained.metrics) == {"auc", "logloss", "calibration", "gauc", "ndcg@10"}
        assert trained.metrics["auc"] > 0.6
        # Ten of twelve items for each of two users.
        assert 10 / 12 <= trained.coverage <= 1
        assert trained.rows_per_second > 0
    first, second = comparison.models["deep"]
    assert first.metrics != second.metrics
    # A weight per id and the bias.
    assert comparison.models["wide"][0].parameters == 10 + 12 + 1


def test_familiarity(comparison: Comparison) -> None:
    """30 rows each of items that were never, rarely (3 rows) and often (10 rows) seen; a wide model's AUC on each."""
    assert comparison.rows == {"item": {"never": 30, "rarely": 30, "often": 30}}
    for trained in comparison.models["wide"]:
        assert set(trained.by_familiarity["item"]) == {"never", "rarely", "often"}
        assert all(0 <= value <= 1 for value in trained.by_familiarity["item"].values())


def shown(comparison: Comparison) -> str:
    console = Console(width=250, record=True, file=io.StringIO())
    for table in show.tables(comparison):
        console.print(table)
    return console.export_text()


def trained(auc: float, never: float = 0.5) -> Trained:
    return Trained(
        {"auc": auc, "calibration": auc}, {"item": {"never": never, "often": 0.75}}, None, None, 12345, 99.6, 2
    )


def test_tables() -> None:
    """A model that is better with each seed, by 0.1 and 0.102, is marked; calibration has no better."""
    rows_of = {"item": {"never": 1234, "rarely": 49, "often": 50}}
    models = {"wide": [trained(0.6), trained(0.62)], "deep": [trained(0.7, math.nan), trained(0.722, math.nan)]}
    text = shown(Comparison("toy", [0, 1], rows_of, models))
    assert "0.6100 ± 0.0141" in text
    assert "0.7110 ± 0.0156 +" in text
    assert text.count(" + ") == 1 + text.count("Mean ± standard deviation over seeds. + ")
    assert "12,345" in text
    assert "1,234" in text
    assert "rarely" not in text.split("AUC by how often")[1].split("Rarely")[0]


def test_one_seed_has_no_deviation() -> None:
    text = shown(Comparison("toy", [0], {}, {"wide": [trained(0.6)]}))
    assert "0.6000" in text
    assert "±" not in text
    assert "One seed" in text


def test_what_is_written(comparison: Comparison, tmp_path) -> None:
    comparison = dataclasses.replace(comparison)
    picture, numbers = show.write(comparison, tmp_path)
    assert picture.read_bytes().startswith(b"\x89PNG")
    written = json.loads(numbers.read_text())
    assert written["seeds"] == [0, 1]
    assert written["models"]["wide"][1]["metrics"] == dict(comparison.models["wide"][1].metrics)


def test_numbers_that_are_none_are_null(tmp_path) -> None:
    comparison = Comparison(
        "toy", range(1), {"item": {"never": 1, "rarely": 0, "often": 1}}, {"wide": [trained(0.6, math.nan)]}
    )
    _, numbers = show.write(comparison, tmp_path)
    assert json.loads(numbers.read_text())["models"]["wide"][0]["by_familiarity"]["item"]["never"] is None
