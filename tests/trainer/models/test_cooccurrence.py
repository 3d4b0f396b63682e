"""Similarities, histories and popularity, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from schema.errors import SpecError
from schema.feature_spec import LABEL, WEIGHT
from trainer import models
from trainer.fit import fit
from trainer.input_columns import InputColumn
from trainer.inputs import InMemoryExamples
from trainer.models.joint import Joint
from trainer.params import TrainParams

BOTH = ("wide", "deep")
COLUMNS = (
    InputColumn("user", "categorical", BOTH, size=5, width=2, table="user", role="group"),
    InputColumn("item", "categorical", BOTH, size=4, width=2, table="item", role="item"),
    InputColumn("age", "numeric", BOTH),
)
# Users 0 and 1 like items 0 and 1; user 2 likes items 1 and 2, not 0; user 3 likes item 3. User 4 is unknown.
ROWS = [(0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 1, 1), (2, 1, 1), (2, 2, 1), (2, 0, 0), (3, 3, 1)]
HELD_OUT = [(2, 0, 1), (0, 2, 1), (3, 0, 0), (3, 2, 0), (4, 1, 1), (4, 3, 0), (1, 3, 0), (0, 2, 0)]


def examples(rows: list[tuple[int, int, int]]) -> InMemoryExamples:
    user, item, label = np.array(rows).T
    return InMemoryExamples(
        {
            "user": tf.constant(user, tf.int64),
            "item": tf.constant(item, tf.int64),
            "age": tf.zeros(len(rows)),
            LABEL: tf.constant(label, tf.float32),
            WEIGHT: tf.ones(len(rows)),
        }
    )


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Joint:
    model = models.build(COLUMNS, TrainParams(model="cooccurrence"))
    folder = str(tmp_path_factory.mktemp("counted"))
    history = fit(model, TrainParams(), examples(ROWS), examples(HELD_OUT), folder, lambda index, epoch: None)
    assert len(history.epochs) == 1
    assert history.best == 0
    return model


def signals(model: Joint, user: int, item: int) -> np.ndarray:
    (part,) = model.parts
    return part._signals({"user": tf.constant([user], tf.int64), "item": tf.constant([item], tf.int64)})[0].numpy()


@pytest.mark.parametrize(
    ("user", "item", "expected"),
    [
        # Liked by: item 0 {0, 1}, item 1 {0, 1, 2}, item 2 {2}, item 3 {3}.
        # sim(0, 1) = 2 / √(2 · 3), sim(1, 2) = 1 / √(3 · 1), all others 0; no item is like itself.
        (2, 0, 2 / np.sqrt(6)),  # user 2 likes 1 and 2
        (0, 2, 1 / np.sqrt(3)),  # user 0 likes 0 and 1
        (0, 0, 2 / np.sqrt(6)),  # of which 0 itself does not count
        (2, 1, 1 / np.sqrt(3)),
        (3, 0, 0.0),
        (4, 1, 0.0),
    ],
)
def test_similarity(counted: Joint, user: int, item: int, expected: float) -> None:
    np.testing.assert_allclose(signals(counted, user, item)[0], expected, rtol=1e-6)


def test_popularity(counted: Joint) -> None:
    # 7 of 8 rows are positive. Item 0: 2 of 3, and 10 rows at 7/8: (2 + 8.75) / 13; item 3: (1 + 8.75) / 11.
    for item, rate in ((0, 10.75 / 13), (3, 9.75 / 11)):
        np.testing.assert_allclose(signals(counted, 4, item)[1], np.log(rate / (1 - rate)), rtol=1e-5)


def test_the_logit_is_a_logistic_regression_on_the_eval_split(counted: Joint) -> None:
    """At its optimum the gradient is 0: mean probability is the mean label, alone and weighed by each signal."""
    batch, label, _ = next(iter(examples(HELD_OUT).in_order(100)))
    logit = tf.squeeze(counted({name: batch[name] for name in ("user", "item")}), axis=1)
    error = tf.sigmoid(logit) - label
    np.testing.assert_allclose(tf.reduce_mean(error), 0, atol=1e-3)
    found = np.array([signals(counted, user, item) for user, item, _ in HELD_OUT])
    np.testing.assert_allclose(error.numpy() @ found / len(HELD_OUT), 0, atol=1e-3)


def test_only_what_is_popular_is_left_where_a_history_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.models.cooccurrence._HISTORY", 1)
    model = models.build(COLUMNS, TrainParams(model="cooccurrence"))
    model.count(examples(ROWS), examples(HELD_OUT))
    # Of user 2's items 1 (liked by three) is left, and not 2 (by one).
    np.testing.assert_allclose(signals(model, 2, 0)[0], 2 / np.sqrt(6), rtol=1e-6)
    np.testing.assert_allclose(signals(model, 2, 1)[0], 0, rtol=1e-6)


@pytest.mark.parametrize("columns", [COLUMNS[1:], (COLUMNS[2],)])
def test_a_dataset_without_a_ranking_is_refused(columns: tuple[InputColumn, ...]) -> None:
    with pytest.raises(SpecError, match=r"cooccurrence needs a 'ranking' in features\.yaml"):
        models.build(columns, TrainParams(model="cooccurrence"))
