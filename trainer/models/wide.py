"""The wide part: a linear model over ids and crosses, which memorises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import tensorflow as tf

from trainer.input_columns import InputColumn
from trainer.models.embeddings import FusedEmbedding
from trainer.models.joint import Joint, ModelPart, columns_of
from trainer.models.registry import register
from trainer.params import TrainParams


class Wide(ModelPart):
    """wᵀ[x, φ(x)], a weight per id and per number (Cheng et al., Wide & Deep Learning, 2016, section 3.1).

    x are the ids, one-hot (multi-valent ones multi-hot, normed as their combiner says), and the numbers; φ(x) are
    the crosses (equation 1). All weights begin at 0. A weight per id is an embedding of width 1.

    Args:
        columns: columns of the wide part.
    """

    def __init__(self, columns: Sequence[InputColumn], name: str = "wide") -> None:
        super().__init__(columns, name)
        # Columns that share an embedding mean different things all the same: each has weights of its own.
        ids = [replace(column, table=column.name) for column in columns if column.kind != "numeric"]
        self._numeric = [column.name for column in columns if column.kind == "numeric"]
        self._weights = FusedEmbedding(ids, width=1, initializer="zeros", name="ids") if ids else None
        self._kernel = self.add_weight((len(self._numeric), 1), "zeros", name="numbers") if self._numeric else None
        self.built = True

    def call(self, features: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The wide part's share of the logit: float32 [batch]."""
        logits = []
        if self._weights is not None:
            logits.append(tf.reduce_sum(self._weights(features), axis=[1, 2]))
        if self._kernel is not None:
            numbers = tf.stack([features[name] for name in self._numeric], axis=1)
            logits.append(tf.squeeze(tf.matmul(numbers, self._kernel), axis=1))
        return tf.add_n(logits)


@register("wide")
def build(columns: Sequence[InputColumn], params: TrainParams) -> Joint:
    """Logistic regression over ids, crosses and numbers: P(y = 1) = σ(wᵀ[x, φ(x)] + b)."""
    return Joint([Wide(columns_of("wide", columns))])
