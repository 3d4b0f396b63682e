"""Lookups, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from trainer.input_columns import InputColumn
from trainer.models.embeddings import DenseInputs, FusedEmbedding


def ids(name: str, size: int, kind: str = "categorical", table: str = "", **rest: object) -> InputColumn:
    return InputColumn(name, kind, ("deep",), size=size, table=table or name, **rest)


def int64(*values: object) -> tf.Tensor:
    return tf.constant(values, tf.int64)


def counting(columns: list[InputColumn], width: int = 1) -> FusedEmbedding:
    """A table whose row r is r everywhere."""
    layer = FusedEmbedding(columns, width, "zeros")
    rows = layer.table.shape[0]
    layer.table.assign(np.repeat(np.arange(rows, dtype=np.float32)[:, np.newaxis], width, axis=1))
    return layer


def test_every_table_has_rows_of_its_own() -> None:
    # a is rows 0 to 2, b rows 3 and 4.
    layer = counting([ids("a", 3), ids("b", 2)], width=2)
    vectors = layer({"a": int64(0, 2), "b": int64(1, 0)})
    np.testing.assert_array_equal(vectors, [[[0, 0], [4, 4]], [[2, 2], [3, 3]]])


def test_columns_of_a_table_share_rows_as_many_as_the_largest_needs() -> None:
    # seen and shown share rows 0 to 3; other is row 4.
    layer = counting([ids("shown", 3, table="item"), ids("seen", 4, table="item"), ids("other", 1)])
    assert layer.table.shape[0] == 5
    vectors = layer({"shown": int64(2), "seen": int64(3), "other": int64(0)})
    np.testing.assert_array_equal(vectors, [[[2], [3], [4]]])


@pytest.mark.parametrize(
    ("combiner", "expected"),
    # Rows 1 + (0, 2, 3) = 1, 3, 4: sum 8, of three: mean 8/3, over √3: 4.618802. Row 1 + 3 alone: 4. None: 0.
    [("sum", [8, 4, 0]), ("mean", [8 / 3, 4, 0]), ("sqrtn", [4.618802, 4, 0])],
)
def test_a_list_is_combined(combiner: str, expected: list[float]) -> None:
    layer = counting([ids("tags", 4, "multivalent", combiner=combiner), ids("one", 1)])
    # The columns' ranges are in their order, tags before one; the categorical column's embedding comes first.
    layer.table.assign([[1.0], [2.0], [3.0], [4.0], [9.0]])
    vectors = layer({"one": int64(0, 0, 0), "tags": int64([0, 2, 3], [3, -1, -1], [-1, -1, -1])})
    np.testing.assert_allclose(vectors[:, :, 0], [[9, expected[0]], [9, expected[1]], [9, expected[2]]], rtol=1e-6)


def test_lists_may_all_be_empty() -> None:
    layer = counting([ids("tags", 4, "multivalent")])
    np.testing.assert_array_equal(layer({"tags": tf.zeros([2, 0], tf.int64)}), [[[0]], [[0]]])


def test_the_gradient_names_the_rows_that_were_used() -> None:
    layer = counting([ids("a", 3), ids("tags", 4, "multivalent", combiner="mean")])
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer({"a": int64(2, 2), "tags": int64([1, 3], [-1, -1])}))
    gradient = tape.gradient(total, layer.table.value)
    assert isinstance(gradient, tf.IndexedSlices)
    # a's id 2 twice; of tags 3 + 1 and 3 + 3 with half a share each; nothing for the padding.
    assert gradient.indices.numpy().tolist() == [2, 2, 4, 6]
    assert gradient.values.numpy().tolist() == [[1.0], [1.0], [0.5], [0.5]]


def test_inputs_of_different_widths_and_numbers_stand_side_by_side() -> None:
    columns = [
        InputColumn("wide", "categorical", ("deep",), size=2, width=3, table="wide"),
        InputColumn("age", "numeric", ("deep",)),
        InputColumn("narrow", "categorical", ("deep",), size=2, width=1, table="narrow"),
        InputColumn("tags", "multivalent", ("deep",), size=2, width=1, table="tags"),
    ]
    layer = DenseInputs(columns)
    assert layer.width == 3 + 1 + 1 + 1
    narrow, wide = sorted(layer.trainable_variables, key=lambda table: table.shape[1])
    narrow.assign([[1.0], [2.0], [3.0], [4.0]])
    wide.assign([[5.0, 6.0, 7.0], [8.0, 9.0, 10.0]])
    features = {
        "wide": int64(1, 0),
        "narrow": int64(0, 1),
        "tags": int64([1], [-1]),
        "age": tf.constant([0.5, -0.5]),
    }
    np.testing.assert_array_equal(layer(features), [[1, 4, 8, 9, 10, 0.5], [2, 0, 5, 6, 7, -0.5]])
