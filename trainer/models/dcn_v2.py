"""Deep & Cross, version 2: a cross network with a matrix of weights per layer."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from trainer.input_columns import InputColumn
from trainer.models import mlp
from trainer.models.candidates import CandidateVectors, dense, whole
from trainer.models.cross_network import CrossAndDeep
from trainer.models.joint import Joint, columns_of
from trainer.models.registry import register
from trainer.params import TrainParams


class MatrixCross(keras.layers.Layer):  # type: ignore[misc]
    """A layer of the second cross network (Wang et al., DCN V2, 2021, equation 1)::

        xₗ₊₁ = x₀ ⊙ (Wₗ xₗ + bₗ) + xₗ

    Each pair of inputs has its own weight, so the cost of a layer is proportional to the square of its width.

    Args:
        width: the width of x₀.
        index: l, the index of the layer.
        params: the parameters, of which `precision` is read.

    Example: x₀ = xₗ = [1, 2], W = [[1, 1], [0, 3]], b = [0, 1]: Wx + b = [3, 7], xₗ₊₁ = [3, 14] + [1, 2] = [4, 16].
    """

    def __init__(self, width: int, index: int, params: TrainParams) -> None:
        super().__init__(name=f"cross_{index}", dtype=mlp.precision(params))
        self._dense = keras.layers.Dense(width, dtype=mlp.precision(params), name="dense")
        self._dense.build((None, width))
        self.built = True

    def call(self, x0: tf.Tensor, x: tf.Tensor | CandidateVectors) -> tf.Tensor:
        """Maps x₀ and xₗ to xₗ₊₁, all [batch, width]."""
        return x0 * dense(self._dense, x) + whole(x)


@register("dcn_v2")
def build(columns: Sequence[InputColumn], params: TrainParams, units: int) -> Joint:
    """Deep & Cross, version 2 (Wang et al., 2021): `MatrixCross` and an MLP over the same embeddings."""
    return Joint([CrossAndDeep(columns_of("deep", columns), params, units, MatrixCross)], units)
