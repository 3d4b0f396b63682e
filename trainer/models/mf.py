"""Matrix factorisation, which sees only the user and the item of a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import tensorflow as tf

from trainer.input_columns import InputColumn
from trainer.models.embeddings import FieldEmbeddings, equal_width
from trainer.models.joint import EmbeddedPart, Joint, one_logit, ranked_columns
from trainer.models.registry import register
from trainer.models.wide import Wide
from trainer.params import TrainParams


class Factors(EmbeddedPart):
    """qᵢᵀpᵤ, the product of the user's and the item's factors (Koren et al., Matrix Factorization Techniques for
    Recommender Systems, 2009, equation 1).

    Args:
        group: the column of users (or queries, sessions).
        item: the column of items.
        width: the number of factors. Rule of thumb: 8 to 64.
    """

    def __init__(self, group: InputColumn, item: InputColumn, width: int, name: str = "factors") -> None:
        # The columns may share a table, but the product of a vector with itself would not be a factorisation.
        own = [replace(column, table=column.name) for column in (group, item)]
        super().__init__([group, item], FieldEmbeddings(own, width), name)
        self.built = True

    def of_vectors(self, vectors: tf.Tensor, classes: None = None) -> tf.Tensor:
        """The part's share of the logit, float32 [batch, 1], from factors [batch, 2, width]."""
        return tf.reduce_sum(tf.reduce_prod(vectors, axis=1), axis=1, keepdims=True)


@register("mf")
def build(columns: Sequence[InputColumn], params: TrainParams, units: int) -> Joint:
    """Matrix factorisation with biases (Koren et al., 2009, equation 4), with a logistic loss::

    P(y = 1) = σ(b + bᵤ + bᵢ + qᵢᵀpᵤ)
    """
    one_logit(params.model, units)
    group, item = ranked_columns(params.model, columns)
    return Joint([Wide([group, item], units), Factors(group, item, equal_width(params))], units)
