"""What the cross networks share: layers that multiply a row's inputs with themselves, and where they stand."""

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
"""Makes the layer with an index for inputs of a width: called with (x₀, xₗ), both [batch, width], it gives
xₗ₊₁ of the same shape. For candidates of a ranking the first layer's xₗ are `CandidateVectors`."""


class CrossNetwork(keras.layers.Layer):  # type: ignore[misc]
    """Layers that each multiply by the inputs once more, so that the l-th has crosses of up to l + 1 columns.

    Args:
        width: of x₀.
        params: `cross_layers`, how many there are (rule of thumb: 2 to 4; more seldom help), and what `layer` reads.
        layer: makes each.
    """

    def __init__(self, width: int, params: TrainParams, layer: CrossLayer, name: str = "cross") -> None:
        super().__init__(name=name, dtype=mlp.precision(params))
        self._layers_in_order = [layer(width, index, params) for index in range(params.cross_layers)]
        self.built = True

    def call(self, x0: tf.Tensor | CandidateVectors) -> tf.Tensor:
        """[batch, width] -> [batch, width]."""
        x = x0 if self.compute_dtype == "float32" else whole(x0)  # see `dense`
        x0 = whole(x0)
        for layer in self._layers_in_order:
            x = layer(x0, x=x)
        return x


class Cross(EmbeddedPart):
    """A cross network alone: its share of the logits is wᵀx_L.

    Args:
        columns: what x₀ is made of.
        params: of the embeddings, and `cross_layers`.
        units: logits per row.
        layer: makes a layer.
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
        """x₀, [batch, width] -> float32 [batch, units]."""
        return self._logits(self._cross(x0=vectors), classes)

    def ranked(self, candidates: Candidates) -> tf.Tensor:
        return self.of_vectors(CandidateVectors(self.vectors, candidates))


class CrossAndDeep(EmbeddedPart):
    """A cross network and an MLP over the same embeddings (Wang et al., DCN V2, 2021, section 3.3, figure 1).

    Parallel: the logits are wᵀ[x_L, h_L], with h the hidden layers' outputs over x₀ (equations 6 to 8).
    Stacked: the logits are wᵀh_L, with h₀ = x_L.

    Args:
        columns: columns of the deep part.
        params: of embeddings and hidden layers; `cross_layers` and `cross_structure`. Rule of thumb: stacked where
            the labels need few, strong crosses, parallel otherwise; try both.
        units: logits per row.
        layer: makes a cross layer.
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
        """x₀, [batch, width] -> float32 [batch, units]."""
        crosses = self._cross(x0=vectors)
        if self._parallel:
            return self._logits(tf.concat([crosses, mlp.hidden(self._hidden, vectors)], axis=1), classes)
        return self._logits(self._hidden(crosses), classes)

    def ranked(self, candidates: Candidates) -> tf.Tensor:
        return self.of_vectors(CandidateVectors(self.vectors, candidates))
