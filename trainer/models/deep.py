"""The deep part: embeddings and a multi-layer perceptron, which generalise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from trainer.input_columns import InputColumn
from trainer.models.embeddings import DenseInputs
from trainer.models.joint import Joint, ModelPart, columns_of
from trainer.models.registry import register
from trainer.params import TrainParams


class Deep(ModelPart):
    """wᵀa⁽ᴸ⁾, an MLP over embeddings and numbers (Cheng et al., Wide & Deep Learning, 2016, section 3.2).

    a⁽⁰⁾ [batch, inputs] are all embeddings and numbers side by side, and for each hidden layer (equation 2)::

        a⁽ˡ⁺¹⁾ = f(W⁽ˡ⁾a⁽ˡ⁾ + b⁽ˡ⁾)

    Args:
        columns: columns of the deep part.
        params: `hidden_units`, `activation` (f) and `dropout` of the layers. Rule of thumb: 2 or 3 layers of 64 to
            400, fewer for fewer rows; relu; dropout 0.2 below a million rows, 0 above.
    """

    def __init__(self, columns: Sequence[InputColumn], params: TrainParams, name: str = "deep") -> None:
        super().__init__(columns, name)
        self._inputs = DenseInputs(columns)
        layers: list[keras.layers.Layer] = [keras.Input((self._inputs.width,))]
        for units in params.hidden_units:
            layers.append(keras.layers.Dense(units, params.activation))
            if params.dropout:
                layers.append(keras.layers.Dropout(params.dropout))
        self._mlp = keras.Sequential([*layers, keras.layers.Dense(1, use_bias=False)], name="mlp")
        self.built = True

    def call(self, features: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The deep part's share of the logit: float32 [batch]."""
        return tf.squeeze(self._mlp(self._inputs(features)), axis=1)


@register("deep")
def build(columns: Sequence[InputColumn], params: TrainParams) -> Joint:
    """An MLP over embeddings and numbers: P(y = 1) = σ(wᵀa⁽ᴸ⁾ + b)."""
    return Joint([Deep(columns_of("deep", columns), params)])
