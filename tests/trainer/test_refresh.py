"""A refreshed model has the same weights, and the items and contexts that it is given."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from serving.server import saved_model
from serving.server.servable import ServableId
from trainer import restore
from trainer.item_table import ItemTable
from trainer.known_contexts import ContextTable
from trainer.params import TrainParams
from trainer.refresh import refresh
from trainer.task import run_fn

PRICE = "price in €"


def items(*movies: str) -> ItemTable:
    columns = {"movie": np.array(movies, object), "genres": np.array([["war", ""]] * len(movies), object)}
    return ItemTable({**columns, PRICE: np.full(len(movies), 1.99, np.float32)})


CONTEXTS: ContextTable = {"user": np.array([3, 77]), "age": np.array([29, 50], np.float32)}


@pytest.mark.parametrize(
    ("label", "params"),
    [
        ({}, {"model": "wide_deep"}),
        ({}, {"model": "wide_deep", "calibration": "isotonic"}),
        ({}, {"model": "deep", "calibration": "platt"}),
        ({}, {"model": "dcn_mix"}),
        ({}, {"model": "cooccurrence"}),
        ({"number": True, "positive": None}, {"model": "deep"}),
    ],
)
def test_only_items_and_contexts_change(toy, tmp_path: Path, label: dict, params: dict) -> None:
    spec = toy.spec.model_copy(update={"label": toy.spec.label.model_copy(update=label)})
    trained, refreshed = tmp_path / "trained", tmp_path / "refreshed"
    path, copy = trained / "Format-Serving", refreshed / "Format-Serving"
    raw = str(toy.raw / "Split-eval" / "*")
    params = TrainParams(
        epochs=6, batch_size=32, **{"hidden_units": (4,)} if params["model"] != "cooccurrence" else {}, **params
    )
    run_fn(toy.fn_args(trained, tmp_path / "work", params, spec=spec.model_dump_json(), warmup_examples=raw))
    refresh(str(trained), str(path), str(toy.graph), spec, items("movie 3", "new"), CONTEXTS, raw, str(copy))

    before, after = (tf.saved_model.load(str(each)).signatures for each in (path, copy))
    rows = tf.constant([toy.example(row) for row in toy.rows["test"]])
    expected, received = (signatures["serving_default"](examples=rows) for signatures in (before, after))
    for name, values in expected.items():
        np.testing.assert_array_equal(received[name], values)
    assert "recommend" not in before
    asked = {"user": np.array([77]), "age": np.zeros(0, np.float32), "k": np.array(5, np.int32)}
    served = saved_model.load(ServableId("refreshed", 1), str(copy))  # replays the warm-up
    (best,) = served.run("recommend", {**asked, "exclude": np.array([], object)}, ["items"])
    assert set(best.tolist()) == {b"movie 3", b"new"}
    noted, noted_before = restore.history(str(refreshed)), restore.history(str(trained))
    assert noted.pop("known")["items"]["count"] == 2
    assert noted == {name: value for name, value in noted_before.items() if name != "known"}
    assert restore.spec_of(str(refreshed)) == spec
    assert (copy / "assets.extra" / "tf_serving_warmup_requests").exists()
    # It can be refreshed again.
    again = tmp_path / "again" / "Format-Serving"
    refresh(str(refreshed), str(copy), str(toy.graph), spec, items("new"), None, raw, str(again))
    received = tf.saved_model.load(str(again)).signatures["serving_default"](examples=rows)
    for name, values in expected.items():
        np.testing.assert_array_equal(received[name], values)
    assert set(json.loads((again.parent / "history.json").read_text())["known"]) == {"items"}
