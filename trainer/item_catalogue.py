"""The items of a ranking inside a served model, so that callers name them by their ids, or not at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow as tf

from schema.feature_spec import FeatureSpec
from trainer.item_table import Array, ItemTable
from trainer.lookup_rows import kept, memory_of, with_one_more
from trainer.models.candidates import Candidates, ComputedItems, KnownItems
from trainer.raw_columns import raw_column
from trainer.raw_to_columns import RawToColumns

Ranked = Callable[[Candidates], tf.Tensor]
"""Gives the logits of candidates: float32 [rows, units]."""
LookUp = Callable[[tf.Tensor], tf.Tensor]
"""Values of all items -> those of some."""

_ROWS_AT_ONCE = 16_384
"""The items whose logits are computed together: this bounds the memory that a request takes."""
_NO_ID: Mapping[tf.DType, str | int] = {tf.string: "\1", tf.int64: 1 - 2**63}
"""By type, the id of the item that stands for all others: one that is in no vocabulary."""


class ItemCatalogue(tf.Module):  # type: ignore[misc]
    """Items by their ids: what a model computes of an item alone, and the columns that it crosses with the context's.

    Args:
        spec: the resolved feature spec, of a ranking whose ids are texts or integers.
        items: at least one.
        to_columns: makes the model's columns of raw ones.
        ranked: the model.
    """

    def __init__(self, spec: FeatureSpec, items: ItemTable, to_columns: RawToColumns, ranked: Ranked) -> None:
        super().__init__()
        assert spec.ranking is not None, "asked for rankings only"
        self._to_columns, self._ranked = to_columns, ranked
        ids = items.columns[spec.ranking.item]
        self.size = len(ids)
        """The number of items."""
        self.dtype: tf.DType = raw_column(spec.columns[spec.ranking.item]).dtype
        """The type of an id."""
        initializer = tf.lookup.KeyValueTensorInitializer(ids, np.arange(self.size), self.dtype, tf.int64)
        self._places = tf.lookup.StaticHashTable(initializer, default_value=self.size)
        self._ids = kept(ids)
        self._titles = None if items.titles is None else kept(items.titles)

        # The last row stands for all items that the catalogue lacks: nothing is known of them but that.
        raw = {name: column for name, column in to_columns.raw.items() if spec.side(name) == "item"}
        known = {
            name: with_one_more(
                items.columns[name], _NO_ID[self.dtype] if name == spec.ranking.item else column.missing
            )
            for name, column in raw.items()
        }
        crossed = {name for cross in spec.crosses if spec.side(cross.name) == "pair" for name in cross.columns}
        self._crossed_names = [name for name in known if name in crossed]
        self._crossed = [kept(known[name]) for name in self._crossed_names]
        self._shares = [kept(share) for share in self._computed(known)]

    @property
    def bytes(self) -> int:
        """The memory that the numbers take, without texts."""
        return memory_of(self._shares)

    def places(self, ids: tf.Tensor) -> tf.Tensor:
        """Where the items are, int64 of the ids' shape; `size` for those that the catalogue lacks."""
        return self._places.lookup(ids)

    def logits(self, context: Mapping[str, tf.Tensor], places: tf.Tensor) -> tf.Tensor:
        """The logits of some items: float32 [items, units].

        Args:
            context: the raw columns of the context as plain tensors, each of one row or of as many as there are items.
            places: int64 [items].
        """
        return self._logits(context, lambda values: tf.gather(values, places), tf.size(places))

    def best(
        self,
        context: Mapping[str, tf.Tensor],
        k: tf.Tensor,
        exclude: tf.Tensor,
        order: Callable[[tf.Tensor], tf.Tensor],
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The items with the highest scores, the best first; of equals those first that come first in the catalogue.

        Args:
            context: the raw columns of the context, each of one row.
            k: int32 [], the most items to give.
            exclude: ids of items not to give, in the type of an id, [any]; others than the catalogue's do not matter.
            order: logits, float32 [items, units] -> scores [items].

        Returns:
            The items' places, int64 [some], and their logits, float32 [some, units].
        """
        excluded = tf.scatter_nd(
            self.places(exclude)[:, tf.newaxis], tf.ones([tf.size(exclude)]), tf.constant([self.size + 1], tf.int64)
        )

        def better(start: tf.Tensor, places: tf.Tensor, scores: tf.Tensor, logits: tf.Tensor) -> tuple[tf.Tensor, ...]:
            """The best of those found so far and of the next items."""
            end = tf.minimum(start + _ROWS_AT_ONCE, self.size)
            more = self._logits(context, lambda values: values[start:end], end - start)
            more_scores = tf.where(excluded[start:end] > 0, -math.inf, order(more))
            scores = tf.concat([scores, more_scores], axis=0)
            scores, best = tf.math.top_k(scores, tf.minimum(k, tf.size(scores)))
            places = tf.gather(tf.concat([places, tf.range(start, end)], axis=0), best)
            return end, places, scores, tf.gather(tf.concat([logits, more], axis=0), best)

        units = self._units
        state = (tf.constant(0), tf.zeros([0], tf.int32), tf.zeros([0]), tf.zeros([0, units]))
        if self.size <= _ROWS_AT_ONCE:
            state = better(*state)
        else:
            shapes = (tf.TensorShape([]), tf.TensorShape([None]), tf.TensorShape([None]), tf.TensorShape([None, units]))
            state = tf.while_loop(lambda start, *_: start < self.size, better, state, shapes, parallel_iterations=1)
        _, places, scores, logits = state
        allowed = scores > -math.inf
        return tf.boolean_mask(places, allowed), tf.boolean_mask(logits, allowed)

    def ids(self, places: tf.Tensor) -> tf.Tensor:
        """The ids of the catalogue's items."""
        return tf.gather(self._ids, places)

    def titles(self, places: tf.Tensor) -> tf.Tensor | None:
        """What people call the catalogue's items: string; None where the dataset does not say."""
        return None if self._titles is None else tf.gather(self._titles, places)

    def _logits(self, context: Mapping[str, tf.Tensor], look_up: LookUp, rows: tf.Tensor) -> tf.Tensor:
        crossed = {name: look_up(values) for name, values in zip(self._crossed_names, self._crossed, strict=True)}
        features, _ = self._to_columns.candidates({**context, **crossed})
        return self._ranked(Candidates(features, rows, KnownItems(self._shares, look_up)))

    def _computed(self, known: Mapping[str, Array]) -> Iterator[Array]:
        """The shares of all items, which do not depend on the context: here one of which nothing is known."""
        nothing = {
            name: np.full([1, 0] if column.multivalent else [1], column.missing, column.dtype.as_numpy_dtype)
            for name, column in self._to_columns.raw.items()
            if name not in known
        }
        parts = []
        for start in range(0, self.size + 1, _ROWS_AT_ONCE):
            some = {name: values[start : start + _ROWS_AT_ONCE] for name, values in known.items()}
            computed = ComputedItems()
            columns = {name: tf.constant(values) for name, values in {**nothing, **some}.items()}
            self._units = self._ranked(Candidates(*self._to_columns.candidates(columns), computed)).shape[1]
            parts.append([share.numpy() for share in computed.shares])
        return map(np.concatenate, zip(*parts, strict=True))
