"""Cross layers, cross networks and where they stand, worked by hand."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer import models
from trainer.input_columns import InputColumn
from trainer.models.cross import CrossNetwork
from trainer.models.dcn import VectorCross
from trainer.models.dcn_mix import MixtureCross
from trainer.models.dcn_v2 import MatrixCross
from trainer.params import TrainParams

X0 = tf.constant([[1.0, 2.0], [0.0, -1.0]])


def set_weights(layer: keras.layers.Layer, *values: object) -> keras.layers.Layer:
    for variable, value in zip(layer.trainable_variables, values, strict=True):
        variable.assign(np.broadcast_to(value, variable.shape))
    return layer


def test_vector_cross() -> None:
    """w = (3, 4), b = (0, 1). Row 0: xᵀw = 11, x₀ · 11 = (11, 22), + b + x = (12, 25).

    Row 1: xᵀw = -4, x₀ · -4 = (0, 4), + b + x = (0, 4).
    """
    layer = set_weights(VectorCross(2, 0, TrainParams()), [[3.0], [4.0]], [0.0, 1.0])
    np.testing.assert_allclose(layer(X0, X0), [[12, 25], [0, 4]])


def test_matrix_cross() -> None:
    """W = [[1, 1], [0, 3]], b = (0, 1). Row 0: Wx + b = (3, 7), x₀ ⊙ = (3, 14), + x = (4, 16).

    Row 1: Wx + b = (-1, -2), x₀ ⊙ = (0, 2), + x = (0, 1).
    """
    # Keras' kernel is Wᵀ.
    layer = set_weights(MatrixCross(2, 0, TrainParams()), [[1.0, 0.0], [1.0, 3.0]], [0.0, 1.0])
    np.testing.assert_allclose(layer(X0, X0), [[4, 16], [0, 1]])


def test_the_matrix_of_equal_rows_is_the_vector() -> None:
    """With every row of W equal to w, Wx = (xᵀw)(1, 1): equation 1 of the second paper becomes the first paper's."""
    vector = set_weights(VectorCross(2, 0, TrainParams()), [[3.0], [4.0]], 0.0)
    matrix = set_weights(MatrixCross(2, 0, TrainParams()), [[3.0, 3.0], [4.0, 4.0]], 0.0)
    np.testing.assert_allclose(matrix(X0, X0), vector(X0, X0))


def test_mixture_of_one_expert() -> None:
    """Rank 1, V = (1, 0)ᵀ, C = 2, U = (3, -1)ᵀ, b = (0, 1), one expert, whose gate is always 1.

    Row 0: tanh(Vᵀx) = tanh 1 = 0.761594, tanh(2 · 0.761594) = 0.909249; U · = (2.727747, -0.909249), + b
    = (2.727747, 0.090751), x₀ ⊙ = (2.727747, 0.181502), + x = (3.727747, 2.181502). Row 1: tanh 0 = 0: b = (0, 1),
    x₀ ⊙ = (0, -1), + x = (0, -2).
    """
    layer = MixtureCross(2, 0, TrainParams(cross_rank=1, cross_experts=1))
    set_weights(layer, [[[1.0], [0.0]]], [[[2.0]]], [[[3.0, -1.0]]], [0.0, 1.0], 7.0)
    np.testing.assert_allclose(layer(X0, X0), [[3.727747, 2.181502], [0, -2]], rtol=1e-5)


def test_mixture_gates() -> None:
    """Two experts, E₁ = x₀ ⊙ tanh(tanh(x)) (all matrices 1 in rank 2: the identity) and E₂ = 0 (U = 0).

    With gate weights (ln 3, 0) for expert 1 and 0 for expert 2, row 0, x = (1, 2), gives softmax(ln 3, 0) =
    (3/4, 1/4).
    """
    identity, zero = np.eye(2), np.zeros((2, 2))
    layer = MixtureCross(2, 0, TrainParams(cross_rank=2, cross_experts=2))
    set_weights(layer, [identity, zero], [identity, zero], [identity, zero], 0.0, [[np.log(3), 0.0], [0.0, 0.0]])
    expert = [1, 2] * np.tanh(np.tanh([1.0, 2.0]))
    np.testing.assert_allclose(layer(X0, X0)[0], 0.75 * expert + [1, 2], rtol=1e-5)


@pytest.mark.parametrize("experts", [1, 8])
def test_each_expert_begins_as_if_it_were_alone(experts: int) -> None:
    """Uniform within ±√(6 / (128 + 32)) = ±0.193649, of standard deviation 0.193649 / √3 = 0.111803."""
    keras.utils.set_random_seed(0)
    layer = MixtureCross(128, 0, TrainParams(cross_rank=32, cross_experts=experts))
    v, _, u, *_ = (variable.numpy() for variable in layer.trainable_variables)
    for matrix in (v, u):
        assert np.abs(matrix).max() <= 0.193650
        np.testing.assert_allclose([expert.std() for expert in matrix], 0.111803, rtol=0.05)
        assert len({expert.sum() for expert in matrix}) == experts, "no two are equal"


def test_a_network_of_two_layers_makes_crosses_of_three() -> None:
    """Layers of W = 1 (the number) and b = 0 on x₀ = 2: x₁ = 2 · 2 + 2 = 6, x₂ = 2 · 6 + 6 = 18 = x₀³ + 2x₀² + x₀."""
    network = CrossNetwork(1, TrainParams(cross_layers=2), MatrixCross)
    for layer in network._layers_in_order:
        set_weights(layer, [[1.0]], 0.0)
    np.testing.assert_allclose(network(tf.constant([[2.0]])), [[18]])
    assert network(tf.constant([[2.0], [0.5]])).shape == (2, 1)


COLUMNS = (InputColumn("x", "numeric", ("deep",)), InputColumn("y", "numeric", ("deep",)))
FEATURES = {"x": X0[:, 0], "y": X0[:, 1]}
CROSS = [[[3.0], [4.0]], [0.0, 1.0]]  # as above: (12, 25) and (0, 4)
MLP = [[[1.0], [-1.0]], [3.0]]  # relu(x - y + 3): row 0: 2, row 1: 4


def logits(structure: str, *weights: object) -> np.ndarray:
    params = TrainParams(model="dcn", cross_layers=1, cross_structure=structure, hidden_units=(1,), dropout=0)
    model = models.build(COLUMNS, params)
    return set_weights(model, *weights)(FEATURES)[:, 0].numpy()


def test_parallel() -> None:
    """Output weights (1, 2) for the crosses and 10 for the MLP. Row 0: 12 + 50 + 20 + bias 0.5, row 1: 0 + 8 + 40."""
    found = logits("parallel", [0.5], *CROSS, *MLP, [[1.0], [2.0], [10.0]])
    np.testing.assert_allclose(found, [82.5, 48.5])


def test_stacked() -> None:
    """The MLP sees the crosses: relu(12 - 25 + 3) = 0, relu(0 - 4 + 3) = 0 with these; with a bias of 13: 0 and 9."""
    found = logits("stacked", [0.5], *CROSS, [[1.0], [-1.0]], [13.5], [[10.0]])
    np.testing.assert_allclose(found, [5.5, 95.5])


@pytest.mark.parametrize("name", ["dcn", "dcn_v2", "dcn_mix", "cross_deep", "wide_cross"])
def test_two_logits_have_weights_of_their_own(name: str) -> None:
    columns = [*COLUMNS, InputColumn("id", "categorical", ("wide", "deep"), size=3, width=2, table="id")]
    features = {**FEATURES, "id": tf.constant([0, 2], tf.int64)}
    keras.utils.set_random_seed(1)
    model = models.build(columns, TrainParams(model=name, hidden_units=(4,)), units=2)
    found = model(features).numpy()
    assert found.shape == (2, 2)
    assert (found[:, 0] != found[:, 1]).all()


def test_cross_deep_is_the_sum_of_its_parts() -> None:
    """The cross network's share with output weights (1, 2), and the MLP's with 10: as in parallel."""
    params = TrainParams(model="cross_deep", cross_layers=1, hidden_units=(1,), dropout=0)
    model = models.build(COLUMNS, params)
    matrix = [[3.0, 3.0], [4.0, 4.0]], [0.0, 0.0]
    found = set_weights(model, [0.5], *matrix, [[1.0], [2.0]], *MLP, [[10.0]])(FEATURES)[:, 0]
    # Crosses: row 0: (12, 24), row 1: (0, 3).
    np.testing.assert_allclose(found, [12 + 48 + 20 + 0.5, 0 + 6 + 40 + 0.5])


def test_wide_cross_is_the_sum_of_its_parts() -> None:
    columns = [*COLUMNS, InputColumn("id", "categorical", ("wide",), size=3, table="id")]
    params = TrainParams(model="wide_cross", cross_layers=1)
    model = models.build(columns, params)
    matrix = [[3.0, 3.0], [4.0, 4.0]], [0.0, 0.0]
    set_weights(model, [0.5], [[100.0], [200.0], [300.0]], *matrix, [[1.0], [2.0]])
    found = model({**FEATURES, "id": tf.constant([0, 2], tf.int64)})[:, 0]
    np.testing.assert_allclose(found, [12 + 48 + 100 + 0.5, 0 + 6 + 300 + 0.5])


@pytest.mark.parametrize("name", ["deep", "dcn", "dcn_v2", "dcn_mix", "cross_deep", "deepfm"])
@pytest.mark.parametrize("structure", ["parallel", "stacked"])
def test_products_in_bfloat16(name: str, structure: str) -> None:
    """Weights and logits stay float32, and the logits are those of float32 to bfloat16's 8 bits."""
    columns = [*COLUMNS, InputColumn("id", "categorical", ("wide", "deep"), size=3, width=2, table="id")]
    features = {**FEATURES, "id": tf.constant([0, 2], tf.int64)}
    found = {}
    for precision in ("float32", "bfloat16"):
        keras.utils.set_random_seed(1)
        params = TrainParams(model=name, hidden_units=(16, 16), precision=precision, cross_structure=structure)
        model = models.build(columns, params)
        assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
        found[precision] = model(features)
        assert found[precision].dtype == tf.float32
    assert (found["float32"].numpy() != found["bfloat16"].numpy()).any()
    np.testing.assert_allclose(found["bfloat16"], found["float32"], rtol=0.05, atol=0.05)
