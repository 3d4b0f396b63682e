"""A context's candidates get the same logits as rows do, in every model."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer import models
from trainer.input_columns import InputColumn
from trainer.models.candidates import Candidates, ComputedItems, KnownItems
from trainer.models.joint import Joint
from trainer.params import TrainParams

BOTH = ("wide", "deep")
COLUMNS = (
    InputColumn("item", "categorical", BOTH, size=9, width=4, table="item", role="item", side="item"),
    InputColumn("user", "categorical", BOTH, size=5, width=4, table="user", role="group", side="context"),
    InputColumn("liked", "multivalent", BOTH, size=9, width=4, table="item", combiner="sqrtn", side="context"),
    InputColumn("price", "numeric", BOTH, side="item"),
    InputColumn("tags", "multivalent", BOTH, size=6, width=8, table="tags", combiner="mean", side="item"),
    InputColumn("age", "numeric", BOTH, side="context"),
    InputColumn("user_x_item", "categorical", BOTH, size=7, width=8, table="user_x_item", side="pair"),
    InputColumn("user_x_tags", "multivalent", ("wide",), size=7, width=8, table="user_x_tags", side="pair"),
)
ROWS = 6
SIZES = {"item": 9, "user": 5, "liked": 9, "tags": 6, "user_x_item": 7, "user_x_tags": 7}


def features(rows: Mapping[str, int]) -> dict[str, tf.Tensor]:
    """Random columns with so many rows for each side."""
    dice = np.random.default_rng(0)
    found = {}
    for column in COLUMNS:
        shape = (rows[column.side], 3) if column.kind == "multivalent" else (rows[column.side],)
        if column.kind == "numeric":
            found[column.name] = tf.constant(dice.normal(size=shape), tf.float32)
        else:
            low = -1 if column.kind == "multivalent" else 0
            found[column.name] = tf.constant(dice.integers(low, SIZES[column.name], shape), tf.int64)
    return found


def repeated(columns: Mapping[str, tf.Tensor], rows: int) -> dict[str, tf.Tensor]:
    return {name: tf.repeat(values, rows // values.shape[0], axis=0) for name, values in columns.items()}


def build(model: str, units: int = 1, **params: object) -> Joint:
    """A model with random weights everywhere."""
    keras.utils.set_random_seed(1)
    made = models.build(COLUMNS, TrainParams(model=model, hidden_units=(8, 4), **params), units)
    dice = np.random.default_rng(2)
    for variable in made.variables:
        if keras.backend.is_float_dtype(variable.dtype):
            variable.assign(np.abs(dice.normal(size=variable.shape)))
        elif variable.dtype == "int32":
            variable.assign(dice.integers(0, 5, variable.shape))
    return made


def of_rows(model: Joint, columns: Mapping[str, tf.Tensor]) -> np.ndarray:
    return model(repeated(columns, ROWS), training=False).numpy()


EMBEDDED = {"embed_numbers": True, "embedding_width": 4}
CROSSED = ("dcn", "dcn_v2", "dcn_mix")
CASES = [
    *((name, {}) for name in models.names()),
    *((name, EMBEDDED) for name in ("wide_deep", "dcn_v2", "deepfm")),
    *((name, {"batch_norm": True}) for name in ("wide_deep", "dcn_v2")),
    *((name, {"cross_structure": "stacked"}) for name in CROSSED),
    *((name, {"precision": "bfloat16"}) for name in ("wide_deep", "cross_deep", *CROSSED)),
]


def tolerance(params: Mapping[str, object]) -> dict[str, float]:
    return {"atol": 0.05, "rtol": 0.02} if "precision" in params else {"atol": 1e-5, "rtol": 1e-5}


@pytest.mark.parametrize(("name", "params"), CASES)
def test_candidates_are_rows(name: str, params: Mapping[str, object]) -> None:
    """Be it one context for all, one item for all, or a row each."""
    model = build(name, **params)
    for of_context, of_item in ((1, ROWS), (ROWS, 1), (ROWS, ROWS)):
        columns = features({"context": of_context, "item": of_item, "pair": ROWS})
        found = model.ranked(Candidates(columns, tf.constant(ROWS))).numpy()
        expected = of_rows(model, columns)
        assert np.ptp(expected) > 0.1
        np.testing.assert_allclose(found, expected, **tolerance(params))


@pytest.mark.parametrize("name", ["wide_deep", "dcn_v2", "cross_deep"])
def test_several_logits(name: str) -> None:
    model = build(name, units=3)
    columns = features({"context": 1, "item": ROWS, "pair": ROWS})
    found = model.ranked(Candidates(columns, tf.constant(ROWS))).numpy()
    assert found.shape == (ROWS, 3)
    np.testing.assert_allclose(found, of_rows(model, columns), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("name", "params"), CASES)
def test_items_known_in_advance(name: str, params: Mapping[str, object]) -> None:
    """Shares of all items, computed once, are looked up for some of them, and their columns are needed no more."""
    model = build(name, **params)
    columns = features({"context": 1, "item": ROWS, "pair": ROWS})
    expected = model.ranked(Candidates(columns, tf.constant(ROWS))).numpy()

    known = ComputedItems()
    model.ranked(Candidates(columns, tf.constant(ROWS), known))
    places = [4, 0, 4]
    asked = {
        column.name: tf.gather(columns[column.name], places) if column.side == "pair" else columns[column.name]
        for column in COLUMNS
        if column.side != "item"
    }
    items = KnownItems(known.shares, lambda share: tf.gather(share, places))
    found = model.ranked(Candidates(asked, tf.constant(3), items)).numpy()
    np.testing.assert_allclose(found, expected[places], **tolerance(params))


def test_columns_of_a_dataset_that_ranks_nothing() -> None:
    """All are of pairs: a row each."""
    columns = tuple(InputColumn(f"c{place}", "categorical", BOTH, 5, 4, table=f"c{place}") for place in range(2))
    model = models.build(columns, TrainParams(hidden_units=(4,)))
    rows = {column.name: tf.constant([0, 3, 1], tf.int64) for column in columns}
    found = model.ranked(Candidates(rows, tf.constant(3)))
    np.testing.assert_allclose(found, model(rows, training=False), atol=1e-6)
