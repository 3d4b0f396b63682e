"""DeepFM: a factorisation machine and an MLP over the same embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from trainer.input_columns import InputColumn
from trainer.models import mlp
from trainer.models.candidates import Candidates, CandidateVectors
from trainer.models.embeddings import FieldEmbeddings, equal_width
from trainer.models.fm import pairwise
from trainer.models.joint import EmbeddedPart, Joint, columns_of, one_logit
from trainer.models.registry import register
from trainer.models.wide import Wide
from trainer.params import TrainParams


class PairsAndDeep(EmbeddedPart):
    """The pairs of a factorisation machine plus an MLP, both over the same vectors (Guo et al., DeepFM, 2017,
    equations 2 and 4 without the linear terms).

    Args:
        columns: the columns of the deep part.
        params: the parameters of the embeddings and hidden layers.
    """

    def __init__(self, columns: Sequence[InputColumn], params: TrainParams, name: str = "pairs_and_deep") -> None:
        fields = FieldEmbeddings(columns, equal_width(params))
        super().__init__(columns, fields, name)
        self._width = fields.fields * equal_width(params)
        self._hidden = mlp.hidden_layers(self._width, params)
        self._logits = mlp.Logits(params.hidden_units[-1], 1)
        self.built = True

    def of_vectors(self, vectors: tf.Tensor, classes: None = None) -> tf.Tensor:
        """The part's share of the logit, float32 [batch, 1], from vectors [batch, fields, width]."""
        return pairwise(vectors) + self._logits(self._hidden(tf.reshape(vectors, [-1, self._width])))

    def ranked(self, candidates: Candidates) -> tf.Tensor:
        vectors = CandidateVectors(self.vectors, candidates)
        return pairwise(self.vectors.shaped(vectors.whole)) + self._logits(mlp.hidden(self._hidden, vectors))


@register("deepfm")
def build(columns: Sequence[InputColumn], params: TrainParams, units: int) -> Joint:
    """DeepFM (Guo et al., 2017, equation 1): P(y = 1) = σ(y_FM + y_DNN), with the linear terms of the wide part's
    columns. It is like Wide & Deep, but learns pairs of columns instead of taking listed crosses."""
    one_logit(params.model, units)
    deep = PairsAndDeep(columns_of("deep", columns), params)
    return Joint([Wide(columns_of("wide", columns), units), deep], units)
