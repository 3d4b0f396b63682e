from __future__ import annotations

import numpy as np

from trainer.models.dcn import VectorCross
from trainer.models.dcn_v2 import MatrixCross
from trainer.params import TrainParams


def test_layer(set_weights, x0) -> None:
    """W = [[1, 1], [0, 3]], b = (0, 1). Row 0: Wx + b = (3, 7), x₀ ⊙ = (3, 14), + x = (4, 16).

    Row 1: Wx + b = (-1, -2), x₀ ⊙ = (0, 2), + x = (0, 1).
    """
    # Keras' kernel is Wᵀ.
    layer = set_weights(MatrixCross(2, 0, TrainParams()), [[1.0, 0.0], [1.0, 3.0]], [0.0, 1.0])
    np.testing.assert_allclose(layer(x0, x0), [[4, 16], [0, 1]])


def test_the_matrix_of_equal_rows_is_the_vector(set_weights, x0) -> None:
    """With every row of W equal to w, Wx = (xᵀw)(1, 1): equation 1 of the second paper becomes the first paper's."""
    vector = set_weights(VectorCross(2, 0, TrainParams()), [[3.0], [4.0]], 0.0)
    matrix = set_weights(MatrixCross(2, 0, TrainParams()), [[3.0, 3.0], [4.0, 4.0]], 0.0)
    np.testing.assert_allclose(matrix(x0, x0), vector(x0, x0))


def test_side_by_side_with_the_mlp(numbers) -> None:
    found = numbers.logits_of(
        "dcn_v2", [0.5], *numbers.weights["matrix"], *numbers.weights["mlp"], [[1.0, 2.0, 10.0]],
        cross_layers=1, hidden_units=(1,),
    )  # fmt: skip
    np.testing.assert_allclose(found, np.add(numbers.logits["matrix"], numbers.logits["mlp"]) + 0.5)


def test_below_the_mlp(numbers) -> None:
    """Crosses (12, 24), (0, 3): relu(12 - 24 + 13) = 1, relu(0 - 3 + 13) = 10; output weight 2."""
    found = numbers.logits_of(
        "dcn_v2", [0.5], *numbers.weights["matrix"], [[1.0], [-1.0]], [13.0], [[2.0]],
        cross_layers=1, cross_structure="stacked", hidden_units=(1,),
    )  # fmt: skip
    np.testing.assert_allclose(found, [2.5, 20.5])
