"""The hidden layers that models share."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import keras
import tensorflow as tf

from trainer.models.candidates import CandidateVectors, dense
from trainer.params import TrainParams

_MOMENTUM = 0.9
"""The momentum of batch normalisation's averages."""


def hidden_layers(width: int, params: TrainParams) -> keras.Sequential:
    """The layers between a model's inputs and its logits (Cheng et al., Wide & Deep Learning, 2016, equation 2)::

        a⁽ˡ⁺¹⁾ = f(W⁽ˡ⁾a⁽ˡ⁾ + b⁽ˡ⁾)

    Batch normalisation applies to W⁽ˡ⁾a⁽ˡ⁾ before f (Ioffe and Szegedy, 2015, algorithm 1), and its β replaces the
    bias. Outside of training, it normalises by averages over some ten steps, since an epoch may not have more.

    Args:
        width: the width of a⁽⁰⁾, float32 [batch, width].
        params: the parameters, of which `hidden_units`, `activation` (f), `batch_norm`, `dropout`, `precision`, `xla`
            and `distribution` are read. Rule of thumb: 2 or 3 layers of 64 to 400, fewer for fewer rows; relu; dropout
            0.2 below a million rows, 0 above.

    Returns:
        A layer to [batch, last of hidden_units], in the type of `params.precision`.
    """
    policy = precision(params)
    layers: list[keras.layers.Layer] = [keras.Input((width,))]
    for units in params.hidden_units:
        if params.batch_norm:
            layers.append(keras.layers.Dense(units, use_bias=False, dtype=policy))
            # Statistics are of the whole batch: a replica's share of an epoch's last batch may be empty.
            shared = params.distribution == "mirrored"
            layers.append(keras.layers.BatchNormalization(momentum=_MOMENTUM, synchronized=shared, dtype=policy))
            layers.append(keras.layers.Activation(params.activation, dtype=policy))
        else:
            layers.append(keras.layers.Dense(units, params.activation, dtype=policy))
        if params.dropout:
            layers.append(keras.layers.Dropout(params.dropout, dtype=policy))
    return (_Compiled if params.xla else keras.Sequential)(layers, name="mlp")


def hidden(layers: keras.Sequential, x: tf.Tensor | CandidateVectors) -> tf.Tensor:
    """The output of `hidden_layers` for a⁽⁰⁾: float32 [batch, last of hidden_units]."""
    if not isinstance(x, CandidateVectors):
        return layers(x)
    first, *others = layers.layers
    return functools.reduce(lambda output, layer: layer(output), others, dense(first, x))


class _Compiled(keras.Sequential):  # type: ignore[misc]
    """Layers that XLA compiles for training only, so that a served model works on any server and batch size."""

    def __init__(self, layers: Sequence[keras.layers.Layer], name: str) -> None:
        super().__init__(layers, name=name)
        self._in_training = tf.function(functools.partial(super().call, training=True), jit_compile=True)

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: None = None) -> tf.Tensor:
        return self._in_training(inputs) if training else super().call(inputs, training=training, mask=mask)


def precision(params: TrainParams) -> keras.DTypePolicy:
    """The dtype policy of layers that multiply matrices: weights in float32, products in `params.precision`."""
    return keras.DTypePolicy("float32" if params.precision == "float32" else f"mixed_{params.precision}")


class Logits(keras.layers.Layer):  # type: ignore[misc]
    """The last layer, xWᵀ, without a bias, which `Joint` adds.

    Each logit is a row of W, so that a training step for some of the logits reads and changes only their rows.

    Args:
        width: the width of x.
        units: the number of logits per row.
    """

    def __init__(self, width: int, units: int) -> None:
        super().__init__(name="logits")
        self._kernel = self.add_weight((units, width), "glorot_uniform", name="kernel")
        self.built = True

    def call(self, x: tf.Tensor, classes: tf.Tensor | None = None) -> tf.Tensor:
        """Maps x, [batch, width], to logits, float32 [batch, units], or to those of `classes` (int64 [some]) alone."""
        kernel = self._kernel.value if classes is None else tf.gather(self._kernel.value, classes)
        return tf.matmul(tf.cast(x, tf.float32), kernel, transpose_b=True)
