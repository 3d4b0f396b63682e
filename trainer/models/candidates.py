"""Ranks a context's candidates without repeated work: shares of the context or of items alone are computed once.

A model's first computation is mostly linear in its inputs: the sum of a linear part, the first layer of an MLP, the
products of a cross network's first layer. There the context's share is computed once and added to the share of each
candidate::

    W [x_context, x_item, x_pair] = W_context x_context + W_item x_item + W_pair x_pair

The items' share can also be computed for all items when the model is exported, before any request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial, reduce
from operator import add
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf

from schema.feature_spec import Side
from trainer.input_columns import InputColumn

SIDES: Sequence[Side] = ("context", "item", "pair")

Compute = Callable[[], tf.Tensor]


class Items:
    """The items' shares: what a model computes from items alone. Here they are computed for a request's candidates."""

    def __call__(self, compute: Compute) -> tf.Tensor:
        """The next share of the items, [items, ...]. A model requests the same shares in the same order each time."""
        return compute()


class ComputedItems(Items):
    """Computes the shares of all items, and keeps them in `shares` for `KnownItems`."""

    def __init__(self) -> None:
        self.shares: list[tf.Tensor] = []

    def __call__(self, compute: Compute) -> tf.Tensor:
        self.shares.append(compute())
        return self.shares[-1]


class KnownItems(Items):
    """Looks up the candidates' shares among the shares of all items.

    Args:
        shares: the shares of all items, from `ComputedItems`.
        look_up: a function from a share of all items to that of the candidates.
    """

    def __init__(self, shares: Sequence[tf.Tensor], look_up: Callable[[tf.Tensor], tf.Tensor]) -> None:
        self._shares = iter(shares)
        self._look_up = look_up

    def __call__(self, compute: Compute) -> tf.Tensor:
        return self._look_up(next(self._shares))


@dataclass(frozen=True)
class Candidates:
    """The columns of a context and of its candidates.

    Attributes:
        features: the columns by name, as `trainer.input_columns` describes them. The columns of a side all have `rows`
            rows, or all have one, which stands for all. The items' columns may be absent if `items` looks up shares.
        rows: the number of candidates, int32.
        items: the items' shares.
    """

    features: Mapping[str, tf.Tensor]
    rows: tf.Tensor
    items: Items = field(default_factory=Items)

    def share(self, side: Side, compute: Compute) -> tf.Tensor:
        """The share of one side, which `compute` computes from its columns: [1 or rows, ...]."""
        return self.items(compute) if side == "item" else compute()

    def column(self, column: InputColumn) -> tf.Tensor:
        """A column, repeated to all rows: [rows, ...]."""
        values = self.share(column.side, lambda: self.features[column.name])
        return tf.broadcast_to(values, tf.concat([[self.rows], tf.shape(values)[1:]], axis=0))


class Vectors(Protocol):
    """A layer from columns to vectors. Each number of the vectors belongs to one column."""

    places: Mapping[str, range]
    """The places of each column's numbers in a row's vectors, flattened."""
    sides: Mapping[str, Side]
    """The side that each column describes."""

    def of_side(self, features: Mapping[str, tf.Tensor], side: Side) -> tf.Tensor:
        """The numbers of one side's columns, in the order of `places`: float32 [rows, numbers]."""
        ...


class CandidateVectors:
    """The flattened vectors of candidates, float32 [rows, width], which are not assembled until needed.

    Args:
        vectors: the layer that makes the vectors.
        candidates: the candidates' columns.
    """

    def __init__(self, vectors: Vectors, candidates: Candidates) -> None:
        self._candidates = candidates
        self._of_side: dict[Side, Compute] = {}
        self._places: dict[Side, list[int]] = {}
        for side in SIDES:
            columns = [name for name in vectors.places if vectors.sides[name] == side]
            if columns:
                self._of_side[side] = partial(vectors.of_side, candidates.features, side)
                self._places[side] = [place for name in columns for place in vectors.places[name]]

    @cached_property
    def whole(self) -> tf.Tensor:
        """The assembled vectors: float32 [rows, width]."""
        rows = self._candidates.rows
        found = [self._candidates.share(side, compute) for side, compute in self._of_side.items()]
        blocks = [tf.broadcast_to(block, [rows, block.shape[1]]) for block in found]
        order = np.argsort(np.concatenate(list(self._places.values())))
        return tf.gather(tf.concat(blocks, axis=1), order, axis=1)

    def matmul(self, kernel: tf.Tensor) -> tf.Tensor:
        """The vectors times a matrix [width, units], as the sum of the sides' products: [1 or rows, units]."""
        return reduce(add, self._products(kernel))

    def _products(self, kernel: tf.Tensor) -> Iterator[tf.Tensor]:
        for side, compute in self._of_side.items():
            yield self._candidates.share(side, partial(self._product, compute, tf.gather(kernel, self._places[side])))

    @staticmethod
    def _product(compute: Compute, rows: tf.Tensor) -> tf.Tensor:
        return tf.matmul(compute(), rows)


def whole(x: tf.Tensor | CandidateVectors) -> tf.Tensor:
    """Assembled vectors: float32 [rows, width]."""
    return x.whole if isinstance(x, CandidateVectors) else x


def matmul(x: tf.Tensor | CandidateVectors, kernel: tf.Tensor) -> tf.Tensor:
    """Vectors times a matrix [width, units]: [1 or rows, units]."""
    return x.matmul(kernel) if isinstance(x, CandidateVectors) else tf.matmul(x, kernel)


def dense(layer: keras.layers.Dense, x: tf.Tensor | CandidateVectors) -> tf.Tensor:
    """A dense layer's output. In bfloat16 it takes assembled vectors, since a sum of rounded shares would differ."""
    if not isinstance(x, CandidateVectors) or layer.compute_dtype != "float32":
        return layer(whole(x))
    product = x.matmul(layer.kernel.value)
    return layer.activation(product + layer.bias.value if layer.use_bias else product)
