"""Each model's logit worked by hand, and what all models are asked."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from schema.errors import SpecError
from trainer import models
from trainer.input_columns import InputColumn
from trainer.models.registry import register
from trainer.params import TrainParams

BOTH = ("wide", "deep")
COLUMNS = (
    InputColumn("user", "categorical", BOTH, size=2, width=2, table="id"),
    InputColumn("friend", "categorical", BOTH, size=2, width=2, table="id"),
    InputColumn("age", "numeric", ("deep",)),
    InputColumn("price", "numeric", ("wide",)),
    InputColumn("user_x_tag", "multivalent", ("wide",), size=3, table="user_x_tag"),
)
FEATURES = {
    "user": tf.constant([0, 1], tf.int64),
    "friend": tf.constant([1, 1], tf.int64),
    "age": tf.constant([2.0, -1.0]),
    "price": tf.constant([10.0, 0.0]),
    "user_x_tag": tf.constant([[0, 2], [-1, -1]], tf.int64),
}

# Wide: user's weights (1, 2), friend's (3, 4), the cross's (5, 6, 7), price's 0.1.
# Row 0: 1 + 4 + (5 + 7) + 0.1 · 10 = 18. Row 1: 2 + 4 + 0 + 0 = 6.
WIDE = [18.0, 6.0]

# Deep: embeddings of id 0 (1, 0) and 1 (0, 1), one hidden layer of 2 with relu.
# a⁽⁰⁾ of row 0 (user, friend, age): (1, 0, 0, 1, 2), of row 1: (0, 1, 0, 1, -1).
# W columns (1, 1, 1, 1, 1) and (0, -1, 0, -1, 0), b = (0, 1.5): row 0: relu(4, 0.5), row 1: relu(1, -0.5) = (1, 0).
# Output weights (1, 2): row 0: 4 + 1 = 5, row 1: 1.
DEEP = [5.0, 1.0]
DEEP_WEIGHTS = [
    [[1.0, 0.0], [0.0, 1.0]],
    [[1.0, 0.0], [1.0, -1.0], [1.0, 0.0], [1.0, -1.0], [1.0, 0.0]],
    [0.0, 1.5],
    [[1.0], [2.0]],
]
WIDE_WEIGHTS = [[[0.1]], [[1.0], [2.0], [3.0], [4.0], [5.0], [6.0], [7.0]]]

BIAS = 0.5


def build(name: str, **params: object) -> keras.layers.Layer:
    return models.build(COLUMNS, TrainParams(model=name, hidden_units=(2,), dropout=0.0, **params))


def with_weights(name: str, *weights: object) -> keras.layers.Layer:
    model = build(name)
    for variable, value in zip(model.trainable_variables, [[BIAS], *weights], strict=True):
        variable.assign(value)
    return model


def test_names() -> None:
    assert {"wide", "deep", "wide_deep"} <= set(models.names())


@pytest.mark.parametrize(
    ("name", "weights", "expected"),
    [
        ("wide", WIDE_WEIGHTS, np.add(WIDE, BIAS)),
        ("deep", DEEP_WEIGHTS, np.add(DEEP, BIAS)),
        ("wide_deep", [*WIDE_WEIGHTS, *DEEP_WEIGHTS], np.add(WIDE, DEEP) + BIAS),
    ],
)
def test_logit(name: str, weights: list[object], expected: list[float]) -> None:
    np.testing.assert_allclose(with_weights(name, *weights)(FEATURES)[:, 0], expected, rtol=1e-6)


def test_the_parts_are_trained_by_one_loss() -> None:
    """∂loss/∂logit reaches both parts: at the bias, the wide and the deep weights alike."""
    model = with_weights("wide_deep", *WIDE_WEIGHTS, *DEEP_WEIGHTS)
    with tf.GradientTape() as tape:
        logit = model(FEATURES)[:, 0]
        loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits([0.0, 0.0], logit))
    bias, price, _, _, _, _, output = tape.gradient(loss, model.trainable_variables)
    # σ(23.5) = 1 and σ(7.5) = 0.999447, each over 2 rows; price is (10, 0); the hidden layer (4, 0.5) and (1, 0).
    np.testing.assert_allclose(bias, [0.999724], rtol=1e-5)
    np.testing.assert_allclose(price, [[5.0]], rtol=1e-5)
    np.testing.assert_allclose(output, [[2.499724], [0.25]], rtol=1e-5)


def test_a_model_reads_the_columns_of_its_parts_only() -> None:
    assert [column.name for column in build("deep").columns] == ["user", "friend", "age"]
    assert [column.name for column in build("wide").columns] == ["user", "friend", "price", "user_x_tag"]
    assert {column.name for column in build("wide_deep").columns} == set(FEATURES)


def test_the_wide_part_has_its_own_variables() -> None:
    assert [variable.shape for variable in build("wide_deep").wide_variables] == [(1, 1), (7, 1)]
    assert build("deep").wide_variables == []


def test_wide_weights_begin_at_zero_and_equal_seeds_give_equal_models() -> None:
    np.testing.assert_array_equal(build("wide")(FEATURES), [[0], [0]])
    logits = []
    for seed in (7, 7, 8):
        keras.utils.set_random_seed(seed)
        logits.append(build("wide_deep")(FEATURES).numpy().tolist())
    assert logits[0] == logits[1] != logits[2]


def test_dropout_is_for_training() -> None:
    keras.utils.set_random_seed(0)
    params = TrainParams(model="deep", hidden_units=(64,), dropout=0.5)
    model = models.build(COLUMNS, params)
    np.testing.assert_array_equal(model(FEATURES), model(FEATURES, training=False))
    assert (model(FEATURES, training=True).numpy() != model(FEATURES, training=False).numpy()).all()


def test_unknown_model() -> None:
    expected = "model: expected one of .*deep.*wide.*wide_deep, received 'wide_dep'; did you mean 'wide_deep'"
    with pytest.raises(SpecError, match=expected):
        build("wide_dep")


@pytest.mark.parametrize(("name", "part"), [("wide", "wide"), ("deep", "deep"), ("wide_deep", "wide")])
def test_a_part_without_columns(name: str, part: str) -> None:
    other = "deep" if part == "wide" else "wide"
    columns = [InputColumn("age", "numeric", (other,))]
    with pytest.raises(SpecError, match=f"expected at least one feature or cross for the model's {part} part"):
        models.build(columns, TrainParams(model=name))


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match="received 'wide' twice"):
        register("wide")(lambda columns, params: None)
