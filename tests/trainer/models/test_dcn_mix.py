from __future__ import annotations

import keras
import numpy as np
import pytest

from trainer.models.dcn_mix import MixtureCross
from trainer.models.dcn_v2 import MatrixCross
from trainer.params import TrainParams


def test_one_expert(set_weights, x0) -> None:
    """Rank 1, V = (1, 0)ᵀ, C = 2, U = (3, -1)ᵀ, b = (0, 1), one expert, whose gate is always 1.

    Row 0: tanh(Vᵀx) = tanh 1 = 0.761594, tanh(2 · 0.761594) = 0.909249; U · = (2.727747, -0.909249), + b
    = (2.727747, 0.090751), x₀ ⊙ = (2.727747, 0.181502), + x = (3.727747, 2.181502). Row 1: tanh 0 = 0: b = (0, 1),
    x₀ ⊙ = (0, -1), + x = (0, -2).
    """
    layer = MixtureCross(2, 0, TrainParams(cross_rank=1, cross_experts=1))
    set_weights(layer, [[[1.0], [0.0]]], [[[2.0]]], [[[3.0, -1.0]]], [0.0, 1.0], 7.0)
    np.testing.assert_allclose(layer(x0, x0), [[3.727747, 2.181502], [0, -2]], rtol=1e-5)


def test_one_expert_of_full_rank_is_a_matrix_where_tanh_is_a_line(set_weights, x0) -> None:
    """For small arguments tanh(z) = z - z³/3: with V = 0.001 · 1, C = 1 and U = 1000 · Wᵀ the expert is Wx."""
    w = np.array([[1.0, 1.0], [0.0, 3.0]])
    layer = MixtureCross(2, 0, TrainParams(cross_rank=2, cross_experts=1))
    set_weights(layer, [0.001 * np.eye(2)], [np.eye(2)], [1000 * w.T], [0.0, 1.0], 0.0)
    matrix = set_weights(MatrixCross(2, 0, TrainParams()), w.T, [0.0, 1.0])
    np.testing.assert_allclose(layer(x0, x0), matrix(x0, x0), rtol=1e-4, atol=1e-4)


def test_gates(set_weights, x0) -> None:
    """Two experts, E₁ = x₀ ⊙ tanh(tanh(x)) (all matrices 1 in rank 2: the identity) and E₂ = 0 (U = 0).

    With gate weights (ln 3, 0) for expert 1 and 0 for expert 2, row 0, x = (1, 2), gives softmax(ln 3, 0) =
    (3/4, 1/4), row 1, x = (0, -1), (1/2, 1/2).
    """
    identity, zero = np.eye(2), np.zeros((2, 2))
    layer = MixtureCross(2, 0, TrainParams(cross_rank=2, cross_experts=2))
    set_weights(layer, [identity, zero], [identity, zero], [identity, zero], 0.0, [[np.log(3), 0.0], [0.0, 0.0]])
    expert = x0 * np.tanh(np.tanh(x0))
    np.testing.assert_allclose(layer(x0, x0), [[0.75], [0.5]] * expert + x0, rtol=1e-5)


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


def test_side_by_side_with_the_mlp(numbers) -> None:
    """One expert, rank 1, as above: (3.727747, 2.181502) and (0, -2); output weights (1, 2): 8.090751, -4."""
    found = numbers.logits_of(
        "dcn_mix", [0.5], [[[1.0], [0.0]]], [[[2.0]]], [[[3.0, -1.0]]], [0.0, 1.0], 0.0, *numbers.weights["mlp"],
        [[1.0, 2.0, 10.0]], cross_layers=1, cross_rank=1, cross_experts=1, hidden_units=(1,),
    )  # fmt: skip
    np.testing.assert_allclose(found, np.add([8.090751, -4], numbers.logits["mlp"]) + 0.5, rtol=1e-6)
