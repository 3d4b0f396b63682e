"""Labels that are not yes or no, through the whole chain: many classes, a number, and two labels of the same rows."""

import json
import re

import pytest
import tensorflow as tf

SETTINGS = (
    "train.epochs=4", "train.patience=9", "train.batch_size=64", "train.deep_optimizer.learning_rate=0.01",
    "train.dropout=0",
)  # fmt: skip
LABELS = {
    "classes": "{column: stars, classes: [1, 2, 3, 4, 5]}",
    "number": "{column: stars, number: true}",
    "two": '{column: stars, positive: ">= 4"}\nother_labels: {loved: {column: stars, positive: "== 5"}}',
}
METRICS = {
    "classes": ["accuracy", "cross_entropy"],
    "number": ["rmse", "mae", "r2"],
    "two": ["auc", "logloss", "calibration", "gauc", "ndcg@10", "loved.auc", "loved.logloss", "loved.calibration"],
}
ANSWERS = {
    "classes": {"probabilities": (None, 5), "expected": (None,)},
    "number": {"prediction": (None,)},
    "two": {"probability": (None,), "logit": (None,), "probability_loved": (None,)},
}


@pytest.mark.parametrize(
    "kind", ["classes", pytest.param("number", marks=pytest.mark.long), pytest.param("two", marks=pytest.mark.long)]
)
def test_a_model_is_trained_judged_served_and_asked(kind, stranger, rankline, tmp_path):
    description = stranger.description.replace('{column: stars, positive: ">= 4"}', LABELS[kind])
    folder = stranger.copy(tmp_path / "their data", description.replace("name: stranger", f"name: {kind}"))
    root = tmp_path / "runs"
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    done = rankline("run", "-d", str(folder), "--root", str(root), *settings)

    assert (done.returncode, done.stderr) == (0, "")
    metrics = dict(re.findall(r"^  ([a-z.@_0-9]+) +(-?\d+\.\d{4})  ", done.stdout, re.MULTILINE))
    assert list(metrics) == METRICS[kind]
    # Better than who knows nothing: 1 of 5 classes; the mean; a coin.
    for name, least in {"accuracy": 0.3, "r2": 0.1, "auc": 0.6, "loved.auc": 0.6}.items():
        assert name not in metrics or float(metrics[name]) > least

    assert "Ranked over gRPC" in done.stdout
    scores = [float(score) for score in re.findall(r"^  [1-5] +(-?\d+\.\d{3}) ", done.stdout, re.MULTILINE)]
    low, high = {"classes": (1, 5), "number": (0, 6), "two": (0, 1)}[kind]
    assert len(scores) == 15
    assert all(low <= score <= high for score in scores)

    (version,) = (root / kind / "serving").iterdir()
    signature = tf.saved_model.load(str(version)).signatures["serving_default"]
    assert {name: tuple(spec.shape) for name, spec in signature.structured_outputs.items()} == ANSWERS[kind]
    (report,) = root.glob(f"{kind}/artifacts/InfraCheck/*/*/infra_check.json")
    assert json.loads(report.read_text())["rows"] > 100


def test_a_label_that_is_no_class(stranger, rankline, tmp_path):
    description = stranger.description.replace('{column: stars, positive: ">= 4"}', "{column: stars, classes: 4}")
    folder = stranger.copy(tmp_path / "their data", description)
    done = rankline("run", "-d", str(folder), "--root", str(tmp_path / "runs"))
    assert done.returncode == 1
    assert re.search(
        r"day1\.csv: line \d+: stars: expected a whole number from 0 to 3 \(label\.classes\), received '?[45]",
        done.stderr,
    )


def test_models_of_such_labels_are_not_compared(stranger, rankline, tmp_path):
    description = stranger.description.replace('{column: stars, positive: ">= 4"}', LABELS["number"])
    folder = stranger.copy(tmp_path / "their data", description)
    done = rankline("compare", "-d", str(folder), "--root", str(tmp_path / "runs"), "--models", "wide,deep")
    assert done.returncode == 1
    assert "compare: expected a label of two classes, received a number" in done.stderr
