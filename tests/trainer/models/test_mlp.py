from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.models import mlp
from trainer.params import TrainParams

BATCH = tf.constant([[1.0, 2.0], [0.0, -1.0]])
W = [[1.0, 0.0], [1.0, 2.0]]  # xW: (3, 4), (-1, -2)


@pytest.mark.parametrize(
    ("activation", "expected"),
    # tanh 2 = 0.964028; silu(2) = 2 σ(2) = 1.761594, silu(-2) = -0.238406; gelu(2) = 2 Φ(2) = 1.954500.
    [
        ("relu", [2, 0]), ("tanh", [0.964028, -0.964028]), ("silu", [1.761594, -0.238406]),
        ("gelu", [1.9545, -0.0455]),
    ],
)  # fmt: skip
def test_activation(set_weights, activation: str, expected: list[float]) -> None:
    layers = set_weights(mlp.hidden_layers(1, TrainParams(hidden_units=(1,), activation=activation)), [[2.0]], [0.0])
    np.testing.assert_allclose(layers(tf.constant([[1.0], [-1.0]]))[:, 0], expected, rtol=1e-3, atol=1e-4)


def test_layers_follow_each_other(set_weights) -> None:
    """relu(xW + (0, 1)): (3, 5), (0, 0). Then relu of the first minus the second, plus 4: 2, 4."""
    params = TrainParams(hidden_units=(2, 1), dropout=0)
    layers = set_weights(mlp.hidden_layers(2, params), W, [0.0, 1.0], [[1.0], [-1.0]], [4.0])
    np.testing.assert_allclose(layers(BATCH)[:, 0], [2, 4])


def test_batch_norm_stands_before_the_activation(set_weights) -> None:
    """xW is (3, 4) and (-1, -2): means 1 and 1, variances 4 and 9: (1, 1), (-1, -1). γ = (2, 1), β = (0, 0.5):
    (2, 1.5), (-2, -0.5); relu.

    What the training step saw is remembered: means 0.9 · 0 + 0.1 · 1 = 0.1, variances 0.9 · 1 + 0.1 · 4 = 1.3 and
    0.9 + 0.1 · 9 = 1.8.
    """
    params = TrainParams(hidden_units=(2,), batch_norm=True, dropout=0)
    layers = set_weights(mlp.hidden_layers(2, params), W, [2.0, 1.0], [0.0, 0.5])
    np.testing.assert_allclose(layers(BATCH, training=True), [[2, 1.5], [0, 0]], rtol=1e-3)
    normalised = ([[3, 4], [-1, -2]] - np.array([0.1, 0.1])) / np.sqrt([1.3 + 1e-3, 1.8 + 1e-3])
    expected = np.maximum(normalised * [2, 1] + [0, 0.5], 0)
    np.testing.assert_allclose(layers(BATCH, training=False), expected, rtol=1e-5)


def test_dropout_is_for_training() -> None:
    """What is left is scaled up: half of the ones are 0, half are 2."""
    keras.utils.set_random_seed(0)
    layers = mlp.hidden_layers(1, TrainParams(hidden_units=(1000,), dropout=0.5))
    for variable, value in zip(layers.trainable_variables, (1.0, 0.0), strict=True):
        variable.assign(np.full(variable.shape, value))
    one = tf.constant([[1.0]])
    np.testing.assert_array_equal(layers(one), np.ones((1, 1000)))
    trained = layers(one, training=True).numpy()
    assert set(trained.ravel()) == {0.0, 2.0}
    assert 400 < (trained == 0).sum() < 600


@pytest.mark.parametrize("batch_norm", [False, True])
def test_products_in_bfloat16(batch_norm: bool) -> None:
    """Weights stay float32; what comes out has bfloat16's 8 bits."""
    params = TrainParams(hidden_units=(16, 4), batch_norm=batch_norm, precision="bfloat16", dropout=0)
    keras.utils.set_random_seed(1)
    layers = mlp.hidden_layers(2, params)
    assert {variable.dtype for variable in layers.variables} == {"float32"}
    found = layers(BATCH, training=True)
    assert found.dtype == tf.bfloat16
    keras.utils.set_random_seed(1)
    expected = mlp.hidden_layers(2, params.model_copy(update={"precision": "float32"}))(BATCH, training=True)
    assert expected.dtype == tf.float32
    np.testing.assert_allclose(tf.cast(found, tf.float32), expected, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_xla_changes_nothing_but_the_way(batch_norm: bool, set_weights) -> None:
    """Outputs' squares, gradients and moving averages; and outside of training nothing at all."""
    params = TrainParams(hidden_units=(3, 2), dropout=0.0, batch_norm=batch_norm)
    plain, compiled = (mlp.hidden_layers(2, params.model_copy(update={"xla": xla})) for xla in (False, True))
    compiled.set_weights(plain.get_weights())

    def gradients(layers: keras.Sequential) -> list:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layers(BATCH, training=True) ** 2)
        return [loss, *tape.gradient(loss, layers.trainable_variables)]

    for found, expected in zip(gradients(compiled), gradients(plain), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    for found, expected in zip(compiled.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    served = tf.function(lambda x: compiled(x, training=False)).get_concrete_function(BATCH)
    assert "_XlaMustCompile" not in str(served.graph.as_graph_def())
    trained = tf.function(lambda x: compiled(x, training=True)).get_concrete_function(BATCH)
    assert "_XlaMustCompile" in str(trained.graph.as_graph_def())
