"""The wide part, which memorises: a linear model over ids and crosses."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial, reduce
from operator import add

import tensorflow as tf

from trainer.input_columns import InputColumn
from trainer.models.candidates import Candidates
from trainer.models.embeddings import FusedEmbedding, has_any
from trainer.models.joint import Joint, ModelPart, columns_of
from trainer.models.registry import register
from trainer.params import TrainParams


class Wide(ModelPart):
    """wᵀ[x, φ(x)], a weight per id and per number (Cheng et al., Wide & Deep Learning, 2016, section 3.1).

    x are the ids, one-hot (for multi-valent columns multi-hot, scaled by their combiner), and the numbers; φ(x) are
    the crosses (equation 1). All weights start at 0. A weight per id is an embedding of width 1.

    Args:
        columns: the columns of the wide part.
        units: the number of logits per row, each with its own weights.
    """

    is_wide = True

    def __init__(self, columns: Sequence[InputColumn], units: int, name: str = "wide") -> None:
        super().__init__(columns, name)
        # Columns that share an embedding still differ in meaning, so each has its own weights.
        ids = [replace(column, table=column.name) for column in columns if column.kind != "numeric"]
        self._numeric = [column.name for column in columns if column.kind == "numeric"]
        self._sides = {column.name: column.side for column in columns}
        self._weights = FusedEmbedding(ids, width=units, initializer="zeros", name="ids") if ids else None
        self._kernel = self.add_weight((len(self._numeric), units), "zeros", name="numbers") if self._numeric else None
        self.built = True

    def call(self, features: Mapping[str, tf.Tensor], classes: tf.Tensor | None = None) -> tf.Tensor:
        """The wide part's share of the logits: float32 [batch, units]; see `Joint` for `classes`."""
        logits = self._sum(features)
        return logits if classes is None else tf.gather(logits, classes, axis=1)

    def ranked(self, candidates: Candidates) -> tf.Tensor:
        """The sum of the blocks' shares of the logits: float32 [1 or rows, units]."""
        blocks = candidates.blocks(self._sides)
        return reduce(add, [share(partial(self._sum, candidates.features, columns)) for columns, share in blocks])

    def _sum(self, features: Mapping[str, tf.Tensor], columns: Collection[str] | None = None) -> tf.Tensor:
        """The sum over some columns, or over all."""
        logits = []
        if self._weights is not None and has_any(self._weights.columns, columns):
            logits.append(tf.reduce_sum(self._weights(features, columns=columns), axis=1))
        if numeric := [name for name in self._numeric if columns is None or name in columns]:
            assert self._kernel is not None, "there are numbers"
            numbers = tf.stack([features[name] for name in numeric], axis=1)
            places = [self._numeric.index(name) for name in numeric]
            logits.append(
                tf.matmul(numbers, self._kernel if columns is None else tf.gather(self._kernel.value, places))
            )
        return tf.add_n(logits)

    def terms(self, features: Mapping[str, tf.Tensor]) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """The terms whose sums are the logits of a batch.

        Returns:
            Two tensors by column, both float32 [batch, ids, units], padded with zeros, with one id for a number: the
            column's weights, and their contributions to the logits.
        """
        found = self._weights.terms(features) if self._weights is not None else {}
        kernels = tf.unstack(self._kernel.value) if self._kernel is not None else []
        for name, kernel in zip(self._numeric, kernels, strict=True):
            number = features[name][:, tf.newaxis, tf.newaxis]
            weights = tf.ones_like(number) * kernel
            found[name] = (weights, weights * number)
        return found


@register("wide")
def build(columns: Sequence[InputColumn], params: TrainParams, units: int) -> Joint:
    """Logistic regression over ids, crosses and numbers: P(y = 1) = σ(wᵀ[x, φ(x)] + b)."""
    return Joint([Wide(columns_of("wide", columns), units)], units)
