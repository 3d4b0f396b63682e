"""Calibration lines and curves, worked out by hand, and a model's calibrated probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from trainer import task
from trainer.calibration import isotonic, platt
from trainer.calibration_curve import CalibrationCurve
from trainer.fit import TrainingError
from trainer.heads import Logistic
from trainer.params import TrainParams


def of(calibration: CalibrationCurve, *logits: float) -> np.ndarray:
    """Probabilities."""
    return tf.sigmoid(calibration(tf.constant(logits, tf.float32))).numpy()


def rows(truth: Callable[[np.ndarray], np.ndarray], count: int = 200_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits of a model, and labels whose logits are another function of them."""
    random = np.random.default_rng(0)
    logits = random.normal(size=count)
    labels = (random.random(count) < special.expit(truth(logits))).astype(np.float64)
    return logits, labels, np.ones(count)


def test_platt_finds_the_line() -> None:
    calibrate = platt(*rows(lambda logits: 0.5 * logits - 1))
    at_0, at_1 = calibrate(tf.constant([0.0, 1.0])).numpy()
    assert at_0 == pytest.approx(-1, abs=0.02)
    assert at_1 - at_0 == pytest.approx(0.5, abs=0.02)


def test_platt_is_not_certain_after_few_rows() -> None:
    """Two positives at 1 and one negative at -1: the shares are (2 + 1) / (2 + 2) and 1 / (1 + 2), and the line goes
    through both."""
    calibrate = platt(np.array([1.0, 1.0, -1.0]), np.array([1.0, 1.0, 0.0]), np.ones(3))
    np.testing.assert_allclose(of(calibrate, 1.0, -1.0), [3 / 4, 1 / 3], atol=1e-3)


def test_platt_counts_rows_by_their_weight() -> None:
    logits, labels, weights = np.zeros(100) + np.linspace(-1e-3, 1e-3, 100), np.tile([0.0, 1.0], 50), np.ones(100)
    calibrate = platt(logits, labels, np.where(labels == 1, 3.0, 1.0))
    drawn_in = (3 * 51 / 52 + 1 / 52) / 4
    np.testing.assert_allclose(of(calibrate, 0.0), [drawn_in], atol=1e-3)
    assert weights.sum() == 100


def test_a_model_that_is_worse_than_chance_is_not_turned_around() -> None:
    with pytest.raises(TrainingError, match="expected rows of the eval split that score higher to be positive more"):
        platt(*rows(lambda logits: -logits, 1000))


def test_isotonic_by_hand() -> None:
    """Labels 0, 1, 0, 1 at 0, 1, 2, 3: the middle two are pooled, ½ at 1.5. The ends have one row each, so that 0
    becomes ½ / (1 + 1) = ¼, and 1 becomes ¾; beyond them the logit goes on with slope 1."""
    calibrate = isotonic(np.arange(4.0), np.array([0.0, 1.0, 0.0, 1.0]), np.ones(4))
    np.testing.assert_allclose(of(calibrate, 0, 1.5, 3), [1 / 4, 1 / 2, 3 / 4], rtol=1e-6)
    # Half way on the scale of logits, from ln ⅓ to 0.
    np.testing.assert_allclose(calibrate(tf.constant([0.75])), [math.log(1 / 3) / 2], rtol=1e-6)
    np.testing.assert_allclose(calibrate(tf.constant([-2.0, 7.0])), [-math.log(3) - 2, math.log(3) + 4], rtol=1e-6)


def test_isotonic_never_falls_below_a_neighbour() -> None:
    """One negative, then 1 in 100: ½ / 2 would be more than that."""
    logits = np.concatenate([[-1.0], np.linspace(0, 1, 100)])
    labels = np.zeros(101)
    labels[50] = 1
    found = of(isotonic(logits, labels, np.ones(101)), *np.linspace(-2, 2, 50))
    assert (np.diff(found) > 0).all()


def test_where_no_order_is_found_the_mean_is_put_right() -> None:
    calibrate = isotonic(np.array([0.0, 1.0]), np.array([1.0, 0.0]), np.array([1.0, 3.0]))
    np.testing.assert_allclose(calibrate(tf.constant([0.75, 1.75])), [math.log(1 / 3), math.log(1 / 3) + 1], rtol=1e-6)


@pytest.mark.parametrize("method", [platt, isotonic])
def test_either_puts_probabilities_right_and_keeps_the_order(method) -> None:
    calibrate = method(*rows(lambda logits: np.tanh(logits) - 2))
    grid = np.linspace(-6, 6, 1000)
    found = calibrate(tf.constant(grid, tf.float32)).numpy()
    assert (np.diff(found) > 0).all()
    logits, _, _ = rows(lambda logits: logits)
    expected, received = special.expit(np.tanh(logits) - 2), of(calibrate, *logits)
    assert received.mean() == pytest.approx(expected.mean(), rel=0.02)
    off = np.abs(received - expected).mean()
    assert off < (0.005 if method is isotonic else 0.02)


def test_the_head_answers_with_the_calibrated_logit() -> None:
    head = Logistic(("bought",))
    answers = head.calibrated(lambda logits: logits - 1).answers(tf.constant([[1.0, 1.0]]))
    np.testing.assert_allclose(answers["logit"], [0.0])
    np.testing.assert_allclose(answers["probability"], [0.5])
    np.testing.assert_allclose(answers["probability_bought"], [special.expit(1)], rtol=1e-6)
    np.testing.assert_allclose(head.answers(tf.constant([[1.0, 1.0]]))["logit"], [1.0])


def test_the_served_model_has_it(toy, tmp_path: Path) -> None:
    served = {}
    for method in ("none", "isotonic"):
        params = TrainParams(epochs=1, batch_size=64, hidden_units=(8,), calibration=method)
        task.run_fn(toy.fn_args(tmp_path / method, tmp_path / f"work {method}", params))
        signature = tf.saved_model.load(str(tmp_path / method / "Format-Serving")).signatures["serving_default"]
        examples = tf.constant([toy.example(row) for row in toy.rows["eval"]])
        served[method] = {name: values.numpy() for name, values in signature(examples=examples).items()}
    labels = np.array([row["_label"] for row in toy.rows["eval"]])

    def off(probabilities: np.ndarray) -> float:
        return abs(probabilities.mean() / labels.mean() - 1)

    assert off(served["isotonic"]["probability"]) < off(served["none"]["probability"]) / 2
    np.testing.assert_array_equal(
        np.argsort(served["isotonic"]["logit"], kind="stable"), np.argsort(served["none"]["logit"], kind="stable")
    )
