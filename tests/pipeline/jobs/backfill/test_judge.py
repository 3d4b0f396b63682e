"""Two models on rows that neither has seen."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from pipeline.jobs.backfill.judge import Judged, judge
from schema.dataset import find
from schema.errors import RanklineError


class Times(tf.Module):
    """The logit of an example is its feature x, times a number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def serving_default(self, examples):
        x = tf.io.parse_example(examples, {"x": tf.io.FixedLenFeature([], tf.float32, 0.0)})["x"]
        return {"logit": self.factor * x}


@pytest.fixture
def models(tmp_path):
    """One that is right, and one that is the opposite."""
    folders = []
    for name, factor in (("right", 1.0), ("wrong", -1.0)):
        model = Times(factor)
        tf.saved_model.save(model, str(tmp_path / name), signatures={"serving_default": model.serving_default})
        folders.append(str(tmp_path / name))
    return folders


@pytest.fixture
def dataset(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "features.yaml").write_text("{label: y, weight: w, source: {files: 'day-{SPAN}.csv'}}")
    (folder / "day-1.csv").write_text("y,x,w\n0,9,1\n1,-9,1\n")
    (folder / "day-2.csv").write_text("y,x,w\n1,2.5,1\n0,-1.5,2\n1,,1\n")
    return find(folder)


def test_the_rows_of_one_span(dataset, models):
    judged = judge(dataset.of_span(2), *models)
    assert judged.labels.tolist() == [1, 0, 1]
    assert judged.weights.tolist() == [1, 2, 1]
    assert judged.once.tolist() == [2.5, -1.5, 0]
    assert judged.continuous.tolist() == [-2.5, 1.5, 0]
    metrics = judged.metrics()
    assert (metrics["once"]["auc"], metrics["continuous"]["auc"]) == (1, 0)


def test_what_was_judged_is_kept(dataset, models, tmp_path):
    judged = judge(dataset.of_span(2), *models)
    judged.save(tmp_path / "2.npz")
    kept = Judged.load(tmp_path / "2.npz")
    assert all(np.array_equal(vars(kept)[name], values) for name, values in vars(judged).items())
    assert sorted(path.name for path in tmp_path.glob("*.npz")) == ["2.npz"]


def test_the_rows_of_several_spans(dataset, models):
    together = Judged.joined([judge(dataset.of_span(span), *models) for span in (1, 2)])
    assert together.labels.tolist() == [0, 1, 1, 0, 1]
    assert together.once.tolist() == [9, -9, 2.5, -1.5, 0]


def test_a_version_that_was_removed(dataset, models, tmp_path):
    with pytest.raises(RanklineError, match="gone: expected the version that was pushed, found none"):
        judge(dataset.of_span(1), models[0], str(tmp_path / "gone"))
