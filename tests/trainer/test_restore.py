"""A trained model, taken apart again; and its counts of training rows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trainer import restore, seen
from trainer.params import TrainParams
from trainer.raw_to_columns import RawToColumns
from trainer.task import run_fn

PARAMS = TrainParams(epochs=1, batch_size=64, hidden_units=(8,))


@pytest.fixture(scope="module")
def trained(toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("output")
    run_fn(toy.fn_args(output, tmp_path_factory.mktemp("work"), PARAMS))
    return output


def test_its_parts_add_up_to_what_the_served_model_says(toy, trained: Path) -> None:
    model = restore.restored(str(trained), str(trained / "Format-Serving"), toy.spec, toy.transform_output)
    assert model is not None
    examples = tf.constant([toy.example(row) for row in toy.rows["test"]])
    to_columns = RawToColumns(toy.spec, toy.transform_output, model.columns)
    columns = to_columns(to_columns.parsed(examples))
    parts = {part.name: part(columns).numpy()[:, 0] for part in model.parts}
    served = tf.saved_model.load(str(trained / "Format-Serving")).signatures["serving_default"](examples=examples)

    assert set(parts) == {"wide", "deep"}
    assert all(np.ptp(share) > 0 for share in parts.values())
    np.testing.assert_allclose(sum(parts.values()) + model.bias.numpy(), served["logit"], atol=1e-5)


def test_a_counted_model_has_its_counts(toy, tmp_path: Path) -> None:
    run_fn(toy.fn_args(tmp_path / "out", tmp_path / "work", TrainParams(model="cooccurrence")))
    folder = tmp_path / "out"
    model = restore.restored(str(folder), str(folder / "Format-Serving"), toy.spec, toy.transform_output)
    assert model.is_counted
    to_columns = RawToColumns(toy.spec, toy.transform_output, model.columns)
    examples = tf.constant([toy.example(row) for row in toy.rows["test"]])
    served = tf.saved_model.load(str(folder / "Format-Serving")).signatures["serving_default"](examples=examples)
    logits = model(to_columns(to_columns.parsed(examples)), training=False)[:, 0]
    np.testing.assert_allclose(logits, served["logit"], atol=1e-6)
    assert np.ptp(logits) > 0


def test_the_history_says_how_it_was_trained(trained: Path) -> None:
    assert TrainParams.model_validate(restore.history(str(trained))["params"]) == PARAMS


def test_seen_is_in_how_many_rows_an_id_was(toy, trained: Path) -> None:
    found = seen.read(str(trained))
    users = Counter(row.get("user") for row in toy.rows["train"])
    assert sorted(found["user"], reverse=True)[: len(users)] == sorted(users.values(), reverse=True)
    genres = Counter(genre for row in toy.rows["train"] for genre in set(row["genres"]))
    assert sorted(found["genres"], reverse=True)[:3] == sorted(genres.values(), reverse=True)
    assert found["genres"].sum() == sum(genres.values())
    assert "age" not in found


def test_an_id_that_is_twice_in_a_list_was_in_one_row() -> None:
    ids = np.array([[2, 2, -1], [2, 0, 1], [-1, -1, -1]])
    assert seen._rows_with_each(ids, 4).tolist() == [1, 1, 2, 0]
