"""The deep part, which generalises: embeddings and a multi-layer perceptron."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from trainer.input_columns import InputColumn
from trainer.models import mlp
from trainer.models.candidates import Candidates, CandidateVectors
from trainer.models.embeddings import vector_inputs
from trainer.models.joint import EmbeddedPart, Joint, columns_of
from trainer.models.registry import register
from trainer.params import TrainParams


class Deep(EmbeddedPart):
    """wᵀa⁽ᴸ⁾, an MLP over embeddings and numbers (Cheng et al., Wide & Deep Learning, 2016, section 3.2).

    a⁽⁰⁾ [batch, inputs] is the concatenation of all embeddings and numbers; `mlp.hidden_layers` compute a⁽ᴸ⁾ from it.

    Args:
        columns: the columns of the deep part.
        params: the parameters of the embeddings and hidden layers.
        units: the number of logits per row.
    """

    def __init__(self, columns: Sequence[InputColumn], params: TrainParams, units: int, name: str = "deep") -> None:
        inputs = vector_inputs(columns, params)
        super().__init__(columns, inputs, name)
        self._hidden = mlp.hidden_layers(inputs.width, params)
        self._logits = mlp.Logits(params.hidden_units[-1], units)
        self.built = True

    def of_vectors(self, vectors: tf.Tensor | CandidateVectors, classes: tf.Tensor | None = None) -> tf.Tensor:
        """The part's share of the logits, float32 [batch, units], from a⁽⁰⁾, [batch, inputs]."""
        return self._logits(mlp.hidden(self._hidden, vectors), classes)

    def ranked(self, candidates: Candidates) -> tf.Tensor:
        return self.of_vectors(CandidateVectors(self.vectors, candidates))


@register("deep")
def build(columns: Sequence[InputColumn], params: TrainParams, units: int) -> Joint:
    """An MLP over embeddings and numbers: P(y = 1) = σ(wᵀa⁽ᴸ⁾ + b)."""
    return Joint([Deep(columns_of("deep", columns), params, units)], units)
