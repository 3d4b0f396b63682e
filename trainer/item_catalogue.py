"""The items of a ranking inside a served model, so that callers name them by their ids, or not at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np
import tensorflow as tf

from schema.feature_spec import FeatureSpec
from trainer import preprocessing
from trainer.cross_index import CrossIndex, ItemColumns, ItemRows, can_index, item_columns
from trainer.item_table import Array, ItemTable
from trainer.lookup_rows import kept, memory_of, with_one_more
from trainer.models.candidates import Candidates, ComputedItems, KnownItems, LookUp, gathered
from trainer.raw_columns import raw_column
from trainer.raw_to_columns import RawToColumns

Ranked = Callable[[Candidates], tf.Tensor]
"""Gives the logits of candidates: float32 [rows, units]."""

_ROWS_AT_ONCE = 16_384
"""The items whose logits are computed together: this bounds the memory that a request takes."""
_NO_ID: Mapping[tf.DType, str | int] = {tf.string: "\1", tf.int64: 1 - 2**63}
"""The id of the item that stands for all unknown ones, by type: an id that is in no vocabulary."""


@dataclass(frozen=True)
class _Asked:
    """A context.

    Attributes:
        raw: its raw columns.
        features: the columns that the model sees.
        parts: its parts of crosses, from `CrossIndex.contexts`.
    """

    raw: Mapping[str, tf.Tensor]
    features: Mapping[str, tf.Tensor]
    parts: Mapping[str, tf.Tensor]


class ItemCatalogue(tf.Module):  # type: ignore[misc]
    """Items by their ids: what a model computes of an item alone, and the columns that it crosses with the context's.

    Args:
        spec: the resolved feature spec, of a ranking whose ids are texts or integers.
        items: the items, at least one.
        to_columns: the transform graph, from raw columns to the model's.
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
        vocabularies = to_columns.pair_vocabularies()
        crosses = [cross for cross in spec.crosses if cross.name in vocabularies]
        indexed = [cross for cross in crosses if can_index(cross, vocabularies[cross.name])]
        shares, parts = self._computed(known, dict.fromkeys(item_columns(spec, cross) for cross in indexed))
        self._shares = [kept(share) for share in shares]
        self._index = CrossIndex(spec, indexed, vocabularies, parts)
        # All other crosses are for the transform graph, which takes all crossed columns or none.
        crossed = {name for cross in spec.crosses if spec.side(cross.name) == "pair" for name in cross.columns}
        self._crossed_names = [name for name in known if name in crossed and len(indexed) < len(crosses)]
        self._crossed = [kept(known[name]) for name in self._crossed_names]

    @property
    def bytes(self) -> int:
        """The memory that the numbers take, without texts."""
        return memory_of([*self._shares, *self._index.variables])

    def places(self, ids: tf.Tensor) -> tf.Tensor:
        """The items' places, int64 in the shape of the ids; `size` for ids that the catalogue lacks."""
        return self._places.lookup(ids)

    def logits(self, context: Mapping[str, tf.Tensor], places: tf.Tensor) -> tf.Tensor:
        """The logits of some items: float32 [items, units].

        Args:
            context: the raw columns of the context as plain tensors, each of one row or of as many as there are items.
            places: int64 [items].
        """
        return self._logits(self._asked(context), lambda values: gathered(values, places), tf.size(places))

    def best(
        self,
        context: Mapping[str, tf.Tensor],
        k: tf.Tensor,
        exclude: tf.Tensor,
        order: Callable[[tf.Tensor], tf.Tensor],
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The items with the highest scores, the best first. Items with equal scores are in the catalogue's order.

        Args:
            context: the raw columns of the context, each of one row.
            k: int32 [], the largest number of items.
            exclude: the ids of items to leave out, [any]; ids that the catalogue lacks have no effect.
            order: logits, float32 [items, units] -> scores [items].

        Returns:
            The items' places, int64 [some], and their logits, float32 [some, units].
        """
        excluded = tf.scatter_nd(
            self.places(exclude)[:, tf.newaxis], tf.ones([tf.size(exclude)]), tf.constant([self.size + 1], tf.int64)
        )

        asked = self._asked(context)
        # Crosses that many items share are computed once for all pieces, if that is not more work than for one.
        piece = min(self.size, _ROWS_AT_ONCE)
        shared = [rows for rows in self._index.rows if rows.numbers.shape[0] < piece]
        shared_ids = self._index.ids_of_rows(asked.parts, shared)

        def better(start: tf.Tensor, places: tf.Tensor, scores: tf.Tensor, logits: tf.Tensor) -> tuple[tf.Tensor, ...]:
            """The best of those found so far and of the next items."""
            end = tf.minimum(start + _ROWS_AT_ONCE, self.size)
            more = self._logits(asked, lambda values: values[start:end], end - start, shared, shared_ids)
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
        """The titles of the catalogue's items: string; None if the dataset has no titles."""
        return None if self._titles is None else tf.gather(self._titles, places)

    def _asked(self, context: Mapping[str, tf.Tensor]) -> _Asked:
        features, texts = self._to_columns.of_one_side(context)
        return _Asked(context, features, self._index.contexts(texts))

    def _logits(
        self,
        asked: _Asked,
        look_up: LookUp,
        rows: tf.Tensor,
        shared: Collection[ItemRows] = (),
        shared_ids: Mapping[str, tf.Tensor] = MappingProxyType({}),
    ) -> tf.Tensor:
        """The logits of some items: float32 [items, units].

        Args:
            asked: the context.
            look_up: values of all items -> those of the items.
            rows: the number of items.
            shared: the rows of those crosses that were found before, for all items.
            shared_ids: the ids of these crosses.
        """
        features = asked.features
        if self._crossed:
            crossed = {name: look_up(values) for name, values in zip(self._crossed_names, self._crossed, strict=True)}
            features, _ = self._to_columns.candidates({**asked.raw, **crossed})
        own: dict[str, tf.Tensor] = {}
        spread: dict[str, LookUp] = {}
        for each in self._index.rows:
            of_item = look_up(each.of_item)
            if each in shared:
                spread |= dict.fromkeys(each.crosses, partial(tf.gather, indices=of_item))
            else:
                own |= dict.fromkeys(each.crosses, gathered(each.numbers, of_item))
        features = {**features, **self._index.ids(asked.parts, own), **shared_ids}
        return self._ranked(Candidates(features, rows, KnownItems(self._shares, look_up), spread))

    def _computed(
        self, known: Mapping[str, Array], crossed: Collection[ItemColumns]
    ) -> tuple[list[Array], dict[ItemColumns, Array]]:
        """What does not depend on the context, of all items: the shares, and the parts of crosses."""
        shares, parts = [], []
        for start in range(0, self.size + 1, _ROWS_AT_ONCE):
            some = {name: values[start : start + _ROWS_AT_ONCE] for name, values in known.items()}
            features, texts = self._to_columns.of_one_side({name: tf.constant(each) for name, each in some.items()})
            computed = ComputedItems()
            rows = tf.constant(len(next(iter(some.values()))))
            self._units = self._ranked(Candidates(features, rows, computed)).shape[1]
            shares.append([share.numpy() for share in computed.shares])
            parts.append({each: _filled(preprocessing.crossed([texts[name] for name in each])) for each in crossed})
        return (
            [np.concatenate(share) for share in zip(*shares, strict=True)],
            {each: _together([some[each] for some in parts]) for each in crossed},
        )


def _filled(texts: tf.Tensor | tf.SparseTensor) -> Array:
    """Texts as an array; lists are filled up with empty texts, which no list has."""
    texts = tf.sparse.to_dense(texts, "") if isinstance(texts, tf.SparseTensor) else texts
    found: Array = texts.numpy()
    return found


def _together(parts: Sequence[Array]) -> Array:
    """Arrays of texts one after another, whose lists are filled up to the longest."""
    if parts[0].ndim == 1:
        return np.concatenate(parts)
    length = max(part.shape[1] for part in parts)
    return np.concatenate([np.pad(part, [(0, 0), (0, length - part.shape[1])], constant_values=b"") for part in parts])
