"""Losses and answers, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from schema.feature_spec import LABEL, WEIGHT, FeatureSpec
from trainer import models
from trainer.heads import Logistic, Regression, Softmax, head_for, units_of
from trainer.input_columns import InputColumn
from trainer.inputs import InMemoryExamples
from trainer.params import TrainParams


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def test_logistic() -> None:
    """z = 2, y = 1: -ln σ(2) = ln(1 + e⁻²) = 0.126928; z = -1, y = 1: ln(1 + e) = 1.313262."""
    logits = tf.constant([[2.0], [-1.0]])
    np.testing.assert_allclose(Logistic().losses(tf.constant([1.0, 1.0]), logits), [0.126928, 1.313262], rtol=1e-5)
    answers = Logistic().answers(logits)
    np.testing.assert_allclose(answers["logit"], [2, -1])
    np.testing.assert_allclose(answers["probability"], [sigmoid(2), sigmoid(-1)], rtol=1e-6)
    np.testing.assert_allclose(Logistic().scores(answers)[0], [sigmoid(-2), sigmoid(2)], rtol=1e-5)


def test_several_labels_share_a_loss_and_rows_that_lack_one_do_not_count_for_it() -> None:
    """Row 0: 0.126928 + ½ · ln(1 + e⁻⁰) = 0.126928 + ½ · 0.693147; row 1 has no second label."""
    head = Logistic(("bought",), others_weight=0.5)
    logits = tf.Variable([[2.0, 0.0], [-1.0, 3.0]])
    with tf.GradientTape() as tape:
        losses = head.losses(tf.constant([[1.0, 1.0], [1.0, math.nan]]), logits)
    np.testing.assert_allclose(losses, [0.126928 + 0.5 * 0.693147, 1.313262], rtol=1e-5)
    # ∂/∂z = w (σ(z) - y).
    expected = [[sigmoid(2) - 1, 0.5 * (0.5 - 1)], [sigmoid(-1) - 1, 0]]
    np.testing.assert_allclose(tape.gradient(losses, logits), expected, rtol=1e-5)
    answers = head.answers(logits)
    assert set(answers) == {"probability", "logit", "probability_bought"}
    np.testing.assert_allclose(answers["probability_bought"], [0.5, sigmoid(3)], rtol=1e-6)


def test_softmax() -> None:
    """z = (0, ln 2, ln 5): P = (1, 2, 5) / 8; y = 2: ln(8 / 5). Expected of the values 1, 2, 3: (1 + 4 + 15) / 8."""
    head = Softmax(("1", "2", "3"), (1.0, 2.0, 3.0))
    logits = tf.math.log([[1.0, 2.0, 5.0]])
    np.testing.assert_allclose(head.losses(tf.constant([2.0]), logits), [math.log(8 / 5)], rtol=1e-6)
    answers = head.answers(logits)
    np.testing.assert_allclose(answers["probabilities"], [[1 / 8, 2 / 8, 5 / 8]], rtol=1e-6)
    np.testing.assert_allclose(answers["expected"], [20 / 8], rtol=1e-6)
    np.testing.assert_allclose(head.value(answers), answers["expected"])


def test_classes_that_are_texts_have_no_expected_value() -> None:
    head = Softmax(("low", "high"), None)
    assert (head.has_scores, head.has_value) == (True, False)
    assert set(head.answers(tf.zeros([1, 2]))) == {"probabilities"}


def test_regression() -> None:
    """Labels of mean 10 and deviation 2. z = 0.5: 11. y = 14: ((14 - 10) / 2 - 0.5)² / 2 = 1.125."""
    head = Regression(10.0, 2.0)
    logits = tf.constant([[0.5]])
    np.testing.assert_allclose(head.losses(tf.constant([14.0]), logits), [1.125])
    np.testing.assert_allclose(head.answers(logits)["prediction"], [11.0])
    # The loss is that of the prediction in units of the deviation: ((14 - 11) / 2)² / 2.
    assert ((14 - 11) / 2) ** 2 / 2 == 1.125


def test_sampled_softmax_compares_with_the_drawn_classes_alone() -> None:
    """With all but one class drawn, of 3: the loss of row i is -ln e^z_y / Σ e^z over y and the drawn ones."""
    head = Softmax(("a", "b", "c"), None, sampled=2)
    table = tf.math.log([[1.0, 2.0, 5.0], [3.0, 1.0, 4.0]])
    asked = []

    def logits(classes: tf.Tensor | None) -> tf.Tensor:
        asked.append(classes.numpy().tolist())
        return tf.gather(table, classes, axis=1)

    tf.random.set_seed(1)
    for _ in range(20):
        losses = head.training_losses(tf.constant([2.0, 0.0]), logits)
        present, drawn = asked[-1][:2], asked[-1][2:]
        assert present == [2, 0]
        assert len(set(drawn)) == 2
        odds = np.exp(table.numpy())
        for row, label in enumerate([2, 0]):
            among = {label, *drawn}
            expected = -math.log(odds[row, label] / sum(odds[row, other] for other in among))
            assert losses[row].numpy() == pytest.approx(expected, rel=1e-5)
    assert len({tuple(sorted(each[2:])) for each in asked}) > 1


def test_sampled_softmax_prefers_the_same_weights_as_the_whole_one() -> None:
    """Averaged over draws, its gradient points where the whole softmax's does."""
    whole, sampled = Softmax([str(c) for c in range(50)], None), Softmax([str(c) for c in range(50)], None, sampled=20)
    labels = tf.constant(np.random.default_rng(0).integers(0, 50, 64), tf.float32)
    logits = tf.Variable(np.random.default_rng(1).normal(size=(64, 50)), dtype=tf.float32)

    def gradient(head: Softmax) -> np.ndarray:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(
                head.training_losses(
                    labels, lambda classes: logits if classes is None else tf.gather(logits, classes, axis=1)
                )
            )
        return tf.convert_to_tensor(tape.gradient(loss, logits)).numpy().ravel()

    tf.random.set_seed(2)
    exact, mean = gradient(whole), np.mean([gradient(sampled) for _ in range(50)], axis=0)
    assert exact @ mean / np.linalg.norm(exact) / np.linalg.norm(mean) > 0.98


@pytest.mark.parametrize("model", ["wide", "deep", "wide_deep", "dcn", "dcn_v2", "dcn_mix", "cross_deep", "wide_cross"])
def test_some_logits_are_those_of_all(model: str) -> None:
    columns = [InputColumn("user", "categorical", ("wide", "deep"), size=4, width=3, table="user")]
    made = models.build(columns, TrainParams(model=model, hidden_units=(4,), dropout=0.0), units=5)
    for variable in made.trainable_variables:
        variable.assign(tf.random.stateless_normal(variable.shape, [3, 7]))
    features = {"user": tf.constant([0, 3, 1], tf.int64)}
    some = made(features, tf.constant([4, 0, 4], tf.int64))
    np.testing.assert_allclose(some, tf.gather(made(features), [4, 0, 4], axis=1), rtol=1e-5)


def test_the_last_layer_changes_for_the_asked_classes_alone() -> None:
    columns = [InputColumn("user", "categorical", ("deep",), size=4, width=3, table="user")]
    made = models.build(columns, TrainParams(model="deep", hidden_units=(4,), dropout=0.0), units=1000)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(made({"user": tf.constant([0], tf.int64)}, tf.constant([7, 9], tf.int64)))
    kernel = next(variable for variable in made.trainable_variables if variable.shape == (1000, 4))
    gradient = tape.gradient(loss, kernel.value)
    assert isinstance(gradient, tf.IndexedSlices)
    np.testing.assert_array_equal(gradient.indices, [7, 9])


def spec_of(**label: object) -> FeatureSpec:
    return FeatureSpec.model_validate({"label": {"column": "y", **label}, "features": {"x": {}}})


def examples(labels: list[float], weights: list[float]) -> InMemoryExamples:
    return InMemoryExamples({LABEL: tf.constant(labels), WEIGHT: tf.constant(weights)})


def test_the_head_fits_the_label() -> None:
    """Labels 1, 3, 3 with weights 2, 1, 1: mean 2, deviation 1."""
    params, train = TrainParams(), examples([1.0, 3.0, 3.0], [2.0, 1.0, 1.0])
    number = spec_of(number=True)
    head = head_for(number, params, train)
    assert (units_of(number), float(head.answers(tf.constant([[1.0]]))["prediction"][0])) == (1, 3.0)

    ratings = spec_of(classes=[1, 2.5])
    head = head_for(ratings, params, train)
    assert (units_of(ratings), head.classes, head.has_value) == (2, ["1", "2.5"], True)
    assert (units_of(spec_of(classes=7)), head_for(spec_of(classes=3), params, train).classes) == (7, ["0", "1", "2"])
    assert not head_for(spec_of(classes=["no", "yes"]), params, train).has_value

    two = FeatureSpec.model_validate({"label": "y", "other_labels": {"bought": "z"}})
    head = head_for(two, TrainParams(other_labels_weight=0.0), train)
    assert units_of(two) == 2
    np.testing.assert_allclose(head.losses(tf.constant([[1.0, 1.0]]), tf.constant([[0.0, 9.0]])), [math.log(2)])
