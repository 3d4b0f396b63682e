"""Deep & Cross, version 2, at a lower cost: each layer mixes matrices of low rank by a gate."""

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


class MixtureCross(keras.layers.Layer):  # type: ignore[misc]
    """A layer of the mixture of low-rank experts (Wang et al., DCN V2, 2021, equations 3 to 5)::

        xₗ₊₁ = Σᵢ Gᵢ(xₗ) Eᵢ(xₗ) + xₗ
        Eᵢ(xₗ) = x₀ ⊙ (Uᵢ g(Cᵢ g(Vᵢᵀ xₗ)) + b)

    with g = tanh, and G the softmax over the experts of a linear map of xₗ. A layer costs
    2 · experts · rank · width + experts · rank² multiplications instead of width².

    Args:
        width: the width of x₀.
        index: l, the index of the layer.
        params: the parameters. Rule of thumb: a `cross_rank` of about a quarter of the width, and 1 to 8
            `cross_experts`; with one expert the gate has no effect.
    """

    def __init__(self, width: int, index: int, params: TrainParams) -> None:
        super().__init__(name=f"cross_{index}", dtype=mlp.precision(params))
        experts, rank = params.cross_experts, params.cross_rank
        self._v = self.add_weight((experts, width, rank), _glorot_uniform, name="v")
        self._c = self.add_weight((experts, rank, rank), _glorot_uniform, name="c")
        self._u = self.add_weight((experts, rank, width), _glorot_uniform, name="u")
        self._bias = self.add_weight((width,), "zeros", name="bias")
        self._gate = self.add_weight((width, experts), "glorot_uniform", name="gate")
        self.built = True

    def call(self, x0: tf.Tensor, x: tf.Tensor | CandidateVectors) -> tf.Tensor:
        """Maps x₀ and xₗ to xₗ₊₁, all [batch, width]."""
        v = tf.convert_to_tensor(self._v)
        experts, width, rank = v.shape
        side_by_side = tf.reshape(tf.transpose(v, [1, 0, 2]), [width, experts * rank])
        low = tf.tanh(tf.reshape(matmul(x, side_by_side), [-1, experts, rank]))
        low = tf.tanh(tf.einsum("ber,ers->bes", low, self._c))
        crosses = x0[:, tf.newaxis] * (tf.einsum("ber,erw->bew", low, self._u) + self._bias)
        gates = tf.nn.softmax(matmul(x, tf.convert_to_tensor(self._gate)))
        return tf.einsum("be,bew->bw", gates, crosses) + whole(x)


def _glorot_uniform(shape: tuple[int, ...], dtype: str) -> tf.Tensor:
    """Initializes each expert's matrix alone; Keras would take the experts' axis for a convolution's window."""
    return tf.stack([keras.initializers.GlorotUniform()(shape[1:], dtype) for _ in range(shape[0])])


@register("dcn_mix")
def build(columns: Sequence[InputColumn], params: TrainParams, units: int) -> Joint:
    """DCN-Mix (Wang et al., 2021, section 3.4): `MixtureCross` and an MLP over the same embeddings."""
    return Joint([CrossAndDeep(columns_of("deep", columns), params, units, MixtureCross)], units)
