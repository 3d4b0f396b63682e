"""Batches of examples, from memory and from files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from schema.feature_spec import LABEL, WEIGHT
from trainer import inputs
from trainer.input_columns import InputColumn
from trainer.inputs import Examples, InMemoryExamples, StreamedExamples

COLUMNS = [
    InputColumn("id", "categorical", ("wide",), size=100),
    InputColumn("tags", "multivalent", ("wide",), size=100),
    InputColumn("number", "numeric", ("wide",)),
]
ROWS = 23
PLENTY = 1 << 20

Open = Callable[..., Examples]


def tags(row: int) -> list[int]:
    return list(range(row % 3))


def write(path: Path, rows: range) -> None:
    """Row i has id i, i mod 3 tags, number i / 2, label i mod 2 and weight i + 1."""
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for row in rows:
            features = {
                "id": tf.train.Feature(int64_list=tf.train.Int64List(value=[row])),
                "tags": tf.train.Feature(int64_list=tf.train.Int64List(value=tags(row))),
                "number": tf.train.Feature(float_list=tf.train.FloatList(value=[row / 2])),
                LABEL: tf.train.Feature(float_list=tf.train.FloatList(value=[row % 2])),
                WEIGHT: tf.train.Feature(float_list=tf.train.FloatList(value=[row + 1])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("examples")
    write(folder / "b-1.gz", range(10, ROWS))
    write(folder / "a-0.gz", range(10))
    return str(folder / "*")


@pytest.fixture(params=["memory", "disk"])
def examples(request: pytest.FixtureRequest, pattern: str, monkeypatch: pytest.MonkeyPatch) -> Examples:
    # On disk: 3 rows are parsed at once, chunks have 9 rows, which are no whole batches.
    monkeypatch.setattr(inputs, "_READ_ROWS", 3)
    monkeypatch.setattr(inputs, "_CHUNK_ROWS", 8)
    opened = inputs.read([pattern], COLUMNS, weighted=True, memory_bytes=PLENTY if request.param == "memory" else 100)
    assert isinstance(opened, InMemoryExamples if request.param == "memory" else StreamedExamples)
    return opened


def passed(dataset: tf.data.Dataset) -> list[int]:
    """The ids in the order of a pass."""
    return [int(row) for features, _, _ in dataset for row in features["id"]]


def seed(*values: int) -> tf.Tensor:
    return tf.constant(values, tf.int64)


def test_counts(examples: Examples) -> None:
    assert (examples.rows, examples.positives) == (ROWS, ROWS // 2)


def test_a_pass_in_order(examples: Examples) -> None:
    assert sorted(passed(examples.in_order(5))) == list(range(ROWS))
    assert passed(examples.in_order(5)) == passed(examples.in_order(7))


def test_columns_stay_together(examples: Examples) -> None:
    for dataset in (examples.in_order(4), examples.shuffled(4, seed(0, 0))):
        sizes = []
        for features, label, weight in dataset:
            rows = features["id"].numpy()
            sizes.append(len(rows))
            np.testing.assert_array_equal(features["number"], rows / 2)
            np.testing.assert_array_equal(label, rows % 2)
            np.testing.assert_array_equal(weight, rows + 1)
            length = max(row % 3 for row in rows)
            expected = [tags(row) + [-1] * (length - row % 3) for row in rows]
            np.testing.assert_array_equal(features["tags"], np.reshape(expected, [len(rows), length]))
        assert sizes == [4, 4, 4, 4, 4, 3]


def test_a_shuffled_pass_has_every_row_once(examples: Examples) -> None:
    assert sorted(passed(examples.shuffled(4, seed(0, 0)))) == list(range(ROWS))


def test_the_seed_decides_about_the_order(examples: Examples) -> None:
    orders = [passed(examples.shuffled(4, seed(*pair))) for pair in ((1, 0), (1, 0), (1, 1), (2, 0))]
    assert orders[0] == orders[1]
    assert orders[0] != sorted(orders[0])
    assert orders[0] != orders[2] != orders[3] != orders[0]


def test_files_are_shuffled_beyond_their_boundaries_in_memory(pattern: str) -> None:
    examples = inputs.read([pattern], COLUMNS, weighted=True, memory_bytes=PLENTY)
    assert {row < 10 for row in passed(examples.shuffled(4, seed(0, 0)))[:10]} == {True, False}


def test_weights_are_one_where_there_are_none(pattern: str) -> None:
    for memory in (PLENTY, 100):
        examples = inputs.read([pattern], COLUMNS, weighted=False, memory_bytes=memory)
        assert all((weight.numpy() == 1).all() for _, _, weight in examples.in_order(10))


def test_only_the_columns_asked_for_are_read(pattern: str) -> None:
    examples = inputs.read([pattern], COLUMNS[:1], weighted=True, memory_bytes=PLENTY)
    (features, _, _) = next(iter(examples.in_order(3)))
    assert list(features) == ["id"]


@pytest.mark.parametrize("exists", [True, False])
def test_an_empty_split_has_no_rows(tmp_path: Path, exists: bool) -> None:
    if exists:
        write(tmp_path / "empty.gz", range(0))
    examples = inputs.read([str(tmp_path / "*")], COLUMNS, weighted=False, memory_bytes=PLENTY)
    assert (examples.rows, examples.positives) == (0, 0)
