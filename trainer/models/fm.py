"""Factorisation machine: a linear model, and a product of embeddings for every pair of columns."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from trainer.input_columns import InputColumn
from trainer.models.embeddings import FieldEmbeddings, equal_width
from trainer.models.joint import EmbeddedPart, Joint, columns_of, one_logit
from trainer.models.registry import register
from trainer.models.wide import Wide
from trainer.params import TrainParams


def pairwise(vectors: tf.Tensor) -> tf.Tensor:
    """The sum of the inner products of all pairs of vectors, in linear time (Rendle, 2010, lemma 3.1)::

        Σᵢ Σⱼ₍ⱼ﹥ᵢ₎ ⟨vᵢ, vⱼ⟩ = ½ Σ_f [(Σᵢ v_if)² - Σᵢ v_if²]

    Args:
        vectors: float32 [batch, fields, width].

    Returns:
        float32 [batch, 1].
    """
    square_of_sum = tf.square(tf.reduce_sum(vectors, axis=1))
    sum_of_squares = tf.reduce_sum(tf.square(vectors), axis=1)
    return 0.5 * tf.reduce_sum(square_of_sum - sum_of_squares, axis=1, keepdims=True)


class Pairs(EmbeddedPart):
    """Σᵢ Σⱼ₍ⱼ﹥ᵢ₎ ⟨vᵢ, vⱼ⟩ xᵢ xⱼ over pairs of columns (Rendle, Factorization Machines, 2010, equation 1, without its
    linear terms).

    A multi-valent column is one field: its ids' vectors are combined, not paired with each other.

    Args:
        columns: the columns of the deep part.
        width: the width of the vectors. Rule of thumb: 8 to 32.
    """

    def __init__(self, columns: Sequence[InputColumn], width: int, name: str = "pairs") -> None:
        super().__init__(columns, FieldEmbeddings(columns, width), name)
        self.built = True

    def of_vectors(self, vectors: tf.Tensor, classes: None = None) -> tf.Tensor:
        """The part's share of the logit, float32 [batch, 1], from vectors [batch, fields, width]."""
        return pairwise(vectors)


@register("fm")
def build(columns: Sequence[InputColumn], params: TrainParams, units: int) -> Joint:
    """A factorisation machine of degree 2 (Rendle, 2010, equation 1)::

        P(y = 1) = σ(b + wᵀx + Σᵢ Σⱼ₍ⱼ﹥ᵢ₎ ⟨vᵢ, vⱼ⟩ xᵢ xⱼ)

    The linear terms are those of the wide part's columns, the pairs those of the deep part's.
    """
    one_logit(params.model, units)
    pairs = Pairs(columns_of("deep", columns), equal_width(params))
    return Joint([Wide(columns_of("wide", columns), units), pairs], units)
