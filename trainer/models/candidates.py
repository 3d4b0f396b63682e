"""A context and its candidates, as a model ranks them: what depends on one of them alone is computed for it alone.

What a model computes first is mostly linear in its inputs: the sum of a linear part, the first layer of an MLP, the
products of a cross network's first layer. There the context's share is computed once and added to that of each
candidate::

    W [x_context, x_item, x_pair] = W_context x_context + W_item x_item + W_pair x_pair

The items' share can also be computed before any request, for all items that there are, when the model is exported.
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
    """What a model computes of items alone: here for the candidates of a request, when it is asked for."""

    def __call__(self, compute: Compute) -> tf.Tensor:
        """The next share of the items, [items, ...]; a model asks for the same shares in the same order each time."""
        return compute()


class ComputedItems(Items):
    """Keeps the shares of all items there are, to be looked up later."""

    def __init__(self) -> None:
        self.shares: list[tf.Tensor] = []

    def __call__(self, compute: Compute) -> tf.Tensor:
        self.shares.append(compute())
        return self.shares[-1]


class KnownItems(Items):
    """Looks shares up.

    Args:
        shares: those that `ComputedItems` kept.
        look_up: a share of all items -> that of the candidates.
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
        features: name -> tensor of each column, as `trainer.input_columns` describes them. The columns of a side all
            have `rows` rows, or all have one, which stands for all. Those of items may be absent where `items` knows
            them.
        rows: int32, the number of candidates.
        items: gives the items' shares.
    """

    features: Mapping[str, tf.Tensor]
    rows: tf.Tensor
    items: Items = field(default_factory=Items)

    def share(self, side: Side, compute: Compute) -> tf.Tensor:
        """What is computed from the columns of one side: [1 or rows, ...]."""
        return self.items(compute) if side == "item" else compute()

    def column(self, column: InputColumn) -> tf.Tensor:
        """A column with all rows."""
        values = self.share(column.side, lambda: self.features[column.name])
        return tf.broadcast_to(values, tf.concat([[self.rows], tf.shape(values)[1:]], axis=0))


class Vectors(Protocol):
    """A layer from columns to vectors, each of whose numbers belongs to one column."""

    places: Mapping[str, range]
    """Column -> where its numbers are in a row's vectors, side by side."""
    sides: Mapping[str, Side]
    """Column -> what it describes."""

    def of_side(self, features: Mapping[str, tf.Tensor], side: Side) -> tf.Tensor:
        """The numbers of one side's columns, in the order of `places`: float32 [rows, numbers]."""
        ...


class CandidateVectors:
    """The vectors of candidates, not put together as long as it is not needed: float32 [rows, width].

    Args:
        vectors: makes them.
        candidates: from their columns.
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
        """Put together."""
        rows = self._candidates.rows
        found = [self._candidates.share(side, compute) for side, compute in self._of_side.items()]
        blocks = [tf.broadcast_to(block, [rows, block.shape[1]]) for block in found]
        order = np.argsort(np.concatenate(list(self._places.values())))
        return tf.gather(tf.concat(blocks, axis=1), order, axis=1)

    def matmul(self, kernel: tf.Tensor) -> tf.Tensor:
        """Multiplied by a matrix, [width, units]: [1 or rows, units]."""
        return reduce(add, self._products(kernel))

    def _products(self, kernel: tf.Tensor) -> Iterator[tf.Tensor]:
        for side, compute in self._of_side.items():
            yield self._candidates.share(side, partial(self._product, compute, tf.gather(kernel, self._places[side])))

    @staticmethod
    def _product(compute: Compute, rows: tf.Tensor) -> tf.Tensor:
        return tf.matmul(compute(), rows)


def whole(x: tf.Tensor | CandidateVectors) -> tf.Tensor:
    """Vectors put together: float32 [rows, width]."""
    return x.whole if isinstance(x, CandidateVectors) else x


def matmul(x: tf.Tensor | CandidateVectors, kernel: tf.Tensor) -> tf.Tensor:
    """Vectors times a matrix, [width, units]: [1 or rows, units]."""
    return x.matmul(kernel) if isinstance(x, CandidateVectors) else tf.matmul(x, kernel)


def dense(layer: keras.layers.Dense, x: tf.Tensor | CandidateVectors) -> tf.Tensor:
    """A dense layer's output; in bfloat16 of the whole vectors, since a sum of rounded shares would show."""
    if not isinstance(x, CandidateVectors) or layer.compute_dtype != "float32":
        return layer(whole(x))
    product = x.matmul(layer.kernel.value)
    return layer.activation(product + layer.bias.value if layer.use_bias else product)
