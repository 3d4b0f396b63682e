from __future__ import annotations

import numpy as np
import tensorflow as tf

from trainer.models.dcn import VectorCross
from trainer.params import TrainParams


def test_layer(set_weights, x0) -> None:
    """w = (3, 4), b = (0, 1). Row 0: xᵀw = 11, x₀ · 11 = (11, 22), + b + x = (12, 25).

    Row 1: xᵀw = -4, x₀ · -4 = (0, 4), + b + x = (0, 4).
    """
    layer = set_weights(VectorCross(2, 0, TrainParams()), [[3.0], [4.0]], [0.0, 1.0])
    np.testing.assert_allclose(layer(x0, x0), [[12, 25], [0, 4]])


def test_a_later_layer_multiplies_by_the_inputs(set_weights, x0) -> None:
    """x = (12, 25), (0, 4), from x₀. Row 0: xᵀw = 136, x₀ · 136 = (136, 272), + b + x = (148, 298).

    Row 1: xᵀw = 16, x₀ · 16 = (0, -16), + b + x = (0, -11).
    """
    layer = set_weights(VectorCross(2, 1, TrainParams()), [[3.0], [4.0]], [0.0, 1.0])
    np.testing.assert_allclose(layer(x0, tf.constant([[12.0, 25.0], [0.0, 4.0]])), [[148, 298], [0, -11]])


def test_two_layers_side_by_side_with_the_mlp(numbers) -> None:
    """The layers of both tests above: (148, 298), (0, -11); output weights (1, 2): 148 + 596, -22."""
    found = numbers.logits_of(
        "dcn", [0.5], *numbers.weights["vector"], *numbers.weights["vector"], *numbers.weights["mlp"],
        [[1.0, 2.0, 10.0]], cross_layers=2, hidden_units=(1,),
    )  # fmt: skip
    np.testing.assert_allclose(found, np.add([744, -22], numbers.logits["mlp"]) + 0.5)


def test_two_layers_below_the_mlp(numbers) -> None:
    """relu(148 - 298 + 160) = 10, relu(0 + 11 + 160) = 171; output weight 2."""
    found = numbers.logits_of(
        "dcn", [0.5], *numbers.weights["vector"], *numbers.weights["vector"], [[1.0], [-1.0]], [160.0], [[2.0]],
        cross_layers=2, cross_structure="stacked", hidden_units=(1,),
    )  # fmt: skip
    np.testing.assert_allclose(found, [20.5, 342.5])
