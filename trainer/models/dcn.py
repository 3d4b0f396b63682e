"""Deep & Cross: a cross network with a vector of weights per layer."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from trainer.input_columns import InputColumn
from trainer.models import mlp
from trainer.models.candidates import CandidateVectors, matmul, whole
from trainer.models.cross_network import CrossAndDeep
from trainer.models.joint import Joint, columns_of
from trainer.models.registry import register
from trainer.params import TrainParams


class VectorCross(keras.layers.Layer):  # type: ignore[misc]
    """A layer of the first cross network (Wang et al., Deep & Cross Network, 2017, equation 3)::

        xₗ₊₁ = x₀ (xₗᵀ wₗ) + bₗ + xₗ

    The same vector w weighs all crosses of a layer, so the cost of a layer is proportional to its width.

    Args:
        width: the width of x₀.
        index: l, the index of the layer.
        params: the parameters, of which `precision` is read.

    Example: x₀ = xₗ = [1, 2], w = [3, 4], b = [0, 0]: xₗᵀw = 11, xₗ₊₁ = [11, 22] + [1, 2] = [12, 24].
    """

    def __init__(self, width: int, index: int, params: TrainParams) -> None:
        super().__init__(name=f"cross_{index}", dtype=mlp.precision(params))
        self._kernel = self.add_weight((width, 1), "glorot_uniform", name="kernel")
        self._bias = self.add_weight((width,), "zeros", name="bias")
        self.built = True

    def call(self, x0: tf.Tensor, x: tf.Tensor | CandidateVectors) -> tf.Tensor:
        """Maps x₀ and xₗ to xₗ₊₁, all [batch, width]."""
        return x0 * matmul(x, tf.convert_to_tensor(self._kernel)) + self._bias + whole(x)


@register("dcn")
def build(columns: Sequence[InputColumn], params: TrainParams, units: int) -> Joint:
    """Deep & Cross (Wang et al., 2017): `VectorCross` and an MLP over the same embeddings."""
    return Joint([CrossAndDeep(columns_of("deep", columns), params, units, VectorCross)], units)
