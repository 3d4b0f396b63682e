"""Ranks a context's candidates without repeated work: shares of the context or of items alone are computed once.

A model's first computation is mostly linear in its inputs: the sum of a linear part, the first layer of an MLP, the
products of a cross network's first layer. There the context's share is computed once and added to the share of each
candidate::

    W [x_context, x_item, x_pair] = W_context x_context + W_item x_item + W_pair x_pair

The items' share can also be computed for all items when the model is exported, before any request. Of crosses, which
many items may share, the share can be computed once for all those items.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial, reduce
from operator import add
from typing import NamedTuple, Protocol

import keras
import numpy as np
import tensorflow as tf

from schema.feature_spec import Side
from trainer.input_columns import InputColumn

SIDES: Sequence[Side] = ("context", "item", "pair")

Compute = Callable[[], tf.Tensor]
LookUp = Callable[[tf.Tensor], tf.Tensor]
"""Rows of one kind -> the rows of candidates."""


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

    def __init__(self, shares: Sequence[tf.Tensor], look_up: LookUp) -> None:
        self._shares = iter(shares)
        self._look_up = look_up

    def __call__(self, compute: Compute) -> tf.Tensor:
        return self._look_up(next(self._shares))


class Block(NamedTuple):
    """Columns that have the same rows."""

    columns: Sequence[str]
    share: Callable[[Compute], tf.Tensor]
    """The block's share, which the argument computes from its columns: [1 or rows, ...]."""


@dataclass(frozen=True)
class Candidates:
    """The columns of a context and of its candidates.

    Attributes:
        features: the columns by name, as `trainer.input_columns` describes them. The columns of a side all have `rows`
            rows, or all have one, which stands for all. The items' columns may be absent if `items` looks up shares.
        rows: the number of candidates, int32.
        items: the items' shares.
        shared: columns of pairs that have rows of their own, which candidates share, and the function from these rows
            to those of the candidates. Columns with the same function have the same rows.
    """

    features: Mapping[str, tf.Tensor]
    rows: tf.Tensor
    items: Items = field(default_factory=Items)
    shared: Mapping[str, LookUp] = field(default_factory=dict)

    def blocks(self, sides: Mapping[str, Side]) -> Iterator[Block]:
        """Parts columns into blocks.

        Args:
            sides: the columns, and the side that each describes.
        """
        for side in SIDES:
            look_ups = {name: self.shared.get(name) for name in sides if sides[name] == side}
            for look_up in dict.fromkeys(look_ups.values()):
                columns = [name for name in look_ups if look_ups[name] is look_up]
                yield Block(columns, self.items if side == "item" else partial(_share, look_up))

    def column(self, column: InputColumn) -> tf.Tensor:
        """A column, repeated to all rows: [rows, ...]."""
        (block,) = self.blocks({column.name: column.side})
        values = block.share(lambda: self.features[column.name])
        return tf.broadcast_to(values, tf.concat([[self.rows], tf.shape(values)[1:]], axis=0))


def _share(look_up: LookUp | None, compute: Compute) -> tf.Tensor:
    return look_up(compute()) if look_up else compute()


class Vectors(Protocol):
    """A layer from columns to vectors. Each number of the vectors belongs to one column."""

    places: Mapping[str, range]
    """The places of each column's numbers in a row's vectors, flattened."""
    sides: Mapping[str, Side]
    """The side that each column describes."""

    def some(self, features: Mapping[str, tf.Tensor], columns: Collection[str]) -> tf.Tensor:
        """The numbers of some columns, which have the same rows, in the order of `places`: float32 [rows, numbers]."""
        ...


class CandidateVectors:
    """The flattened vectors of candidates, float32 [rows, width], which are not assembled until needed.

    Args:
        vectors: the layer that makes the vectors.
        candidates: the candidates' columns.
    """

    def __init__(self, vectors: Vectors, candidates: Candidates) -> None:
        self._vectors = vectors
        self._candidates = candidates
        self._blocks = list(candidates.blocks({name: vectors.sides[name] for name in vectors.places}))
        self._places = [[place for name in block.columns for place in vectors.places[name]] for block in self._blocks]

    @cached_property
    def whole(self) -> tf.Tensor:
        """The assembled vectors: float32 [rows, width]."""
        rows = self._candidates.rows
        found = [block.share(partial(self._some, block)) for block in self._blocks]
        repeated = [tf.broadcast_to(vectors, [rows, vectors.shape[1]]) for vectors in found]
        return tf.gather(tf.concat(repeated, axis=1), np.argsort(np.concatenate(self._places)), axis=1)

    def matmul(self, kernel: tf.Tensor, bias: tf.Tensor | float = 0.0) -> tf.Tensor:
        """The vectors times a matrix [width, units], as the sum of the blocks' products: [1 or rows, units].

        A bias is added first, since the first block may have but one row.
        """
        return reduce(add, self._products(kernel), bias)

    def _products(self, kernel: tf.Tensor) -> Iterator[tf.Tensor]:
        for block, places in zip(self._blocks, self._places, strict=True):
            yield block.share(partial(self._product, block, gathered(kernel, places)))

    def _product(self, block: Block, rows: tf.Tensor) -> tf.Tensor:
        return tf.matmul(self._some(block), rows)

    def _some(self, block: Block) -> tf.Tensor:
        return self._vectors.some(self._candidates.features, block.columns)


def gathered(values: tf.Tensor | tf.Variable, places: tf.Tensor | Sequence[int]) -> tf.Tensor:
    """Rows of a tensor, or of a variable that is also read as a whole.

    `tf.gather` would gather from the variable itself. TensorFlow then takes it for one whose rows will be changed, and
    copies it whenever it is read as a whole.
    """
    return tf.gather(tf.convert_to_tensor(values), places)


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
    return layer.activation(x.matmul(layer.kernel.value, layer.bias.value if layer.use_bias else 0.0))
