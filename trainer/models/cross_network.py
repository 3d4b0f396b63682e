"""Cross networks, whose layers multiply a row's inputs with themselves, and their place in a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from trainer.input_columns import InputColumn
from trainer.models import mlp
from trainer.models.candidates import Candidates, CandidateVectors, whole
from trainer.models.embeddings import vector_inputs
from trainer.models.joint import EmbeddedPart
from trainer.params import TrainParams

CrossLayer = Callable[[int, int, TrainParams], keras.layers.Layer]
"""A function that makes a cross layer, from the width of its inputs, its index and the parameters. The layer maps
(x₀, xₗ), both [batch, width], to xₗ₊₁ of the same shape. For candidates of a ranking, the first layer's xₗ are
`CandidateVectors`."""


class CrossNetwork(keras.layers.Layer):  # type: ignore[misc]
    """A stack of layers that each multiply by the inputs once more, so that layer l has crosses of up to l + 1 columns.

    Args:
        width: the width of x₀.
        params: the parameters: `cross_layers`, the number of layers (rule of thumb: 2 to 4; more seldom help), and
            those that `layer` reads.
        layer: a function that makes a layer.
    """

    def __init__(self, width: int, params: TrainParams, layer: CrossLayer, name: str = "cross") -> None:
        super().__init__(name=name, dtype=mlp.precision(params))
        self._layers_in_order = [layer(width, index, params) for index in range(params.cross_layers)]
        self.built = True

    def call(self, x0: tf.Tensor | CandidateVectors) -> tf.Tensor:
        """Maps x₀ to x_L, both [batch, width]."""
        x = x0 if self.compute_dtype == "float32" else whole(x0)  # see `dense`
        x0 = whole(x0)
        for layer in self._layers_in_order:
            x = layer(x0, x=x)
        return x


class Cross(EmbeddedPart):
    """A cross network alone: its share of the logits is wᵀx_L.

    Args:
        columns: the columns that x₀ is made of.
        params: the parameters of the embeddings and of the cross network.
        units: the number of logits per row.
        layer: a function that makes a cross layer.
    """

    def __init__(
        self, columns: Sequence[InputColumn], params: TrainParams, units: int, layer: CrossLayer, name: str = "cross"
    ) -> None:
        inputs = vector_inputs(columns, params)
        super().__init__(columns, inputs, name)
        self._cross = CrossNetwork(inputs.width, params, layer)
        self._logits = mlp.Logits(inputs.width, units)
        self.built = True

    def of_vectors(self, vectors: tf.Tensor | CandidateVectors, classes: tf.Tensor | None = None) -> tf.Tensor:
        """The part's share of the logits, float32 [batch, units], from x₀, [batch, width]."""
        return self._logits(self._cross(x0=vectors), classes)

    def ranked(self, candidates: Candidates) -> tf.Tensor:
        return self.of_vectors(CandidateVectors(self.vectors, candidates))


class CrossAndDeep(EmbeddedPart):
    """A cross network and an MLP over the same embeddings (Wang et al., DCN V2, 2021, section 3.3, figure 1).

    Parallel: the logits are wᵀ[x_L, h_L], with h the hidden layers' outputs over x₀ (equations 6 to 8).
    Stacked: the logits are wᵀh_L, with h₀ = x_L.

    Args:
        columns: the columns of the deep part.
        params: the parameters of the embeddings, hidden layers and cross network. Rule of thumb for `cross_structure`:
            stacked if the labels need few, strong crosses, parallel otherwise; try both.
        units: the number of logits per row.
        layer: a function that makes a cross layer.
    """

    def __init__(
        self,
        columns: Sequence[InputColumn],
        params: TrainParams,
        units: int,
        layer: CrossLayer,
        name: str = "cross_and_deep",
    ) -> None:
        inputs = vector_inputs(columns, params)
        super().__init__(columns, inputs, name)
        self._parallel = params.cross_structure == "parallel"
        self._cross = CrossNetwork(inputs.width, params, layer)
        self._hidden = mlp.hidden_layers(inputs.width, params)
        self._logits = mlp.Logits(params.hidden_units[-1] + self._parallel * inputs.width, units)
        self.built = True

    def of_vectors(self, vectors: tf.Tensor | CandidateVectors, classes: tf.Tensor | None = None) -> tf.Tensor:
        """The part's share of the logits, float32 [batch, units], from x₀, [batch, width]."""
        crosses = self._cross(x0=vectors)
        if self._parallel:
            return self._logits(tf.concat([crosses, mlp.hidden(self._hidden, vectors)], axis=1), classes)
        return self._logits(self._hidden(crosses), classes)

    def ranked(self, candidates: Candidates) -> tf.Tensor:
        return self.of_vectors(CandidateVectors(self.vectors, candidates))
