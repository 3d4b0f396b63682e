"""The ids of crosses of a context with known items, found by numbers instead of texts.

The transform graph joins the context's part of a token and the item's, and looks the token up, for every candidate. But
an item's part is known when the model is exported. So both parts get numbers, and per request only the context's parts
are looked up as texts::

    vocabulary of age x genres      context's parts     items' parts        pairs
    0  3␟Drama                      3: 0                Drama: 0            (0, 0): 0
    1  5␟War                        5: 1                War: 1              (1, 1): 1
    2  3␟War                                            all others: 2       (0, 1): 2

Items with the same parts share a row, and so do all items with parts that no token has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from schema.feature_spec import Cross, FeatureSpec
from trainer import preprocessing
from trainer.lookup_rows import kept
from trainer.models.candidates import gathered
from trainer.raw_to_columns import Texts
from trainer.vocabulary import SEPARATOR

ItemColumns = tuple[str, ...]
"""The columns of a cross that describe items."""

_UNKNOWN = -1
"""The number of a context's part that no token has."""
_NOTHING = -2
"""The padding of lists of a context's parts."""
_PADDING = -1
"""The padding of lists of items' parts and of ids."""


class ItemRows(tf.Module):  # type: ignore[misc]
    """The different rows of the items' parts in crosses of the same item columns.

    Args:
        crosses: the names of the crosses.
        of_items: the numbers of each item's parts, int64 [items, parts], padded.
    """

    def __init__(self, crosses: Sequence[str], of_items: npt.NDArray[np.int64]) -> None:
        super().__init__()
        self.crosses = tuple(crosses)
        self.parts = int(of_items.max(initial=0)) + 1
        """The parts have lower numbers than this."""
        numbers, of_item = np.unique(of_items, axis=0, return_inverse=True)
        self.numbers = kept(numbers)
        """The numbers of the parts, int64 [rows, parts], padded; one part where no column is multi-valent."""
        self.of_item = kept(of_item.reshape(-1))
        """The row of each item, int64 [items]."""


class CrossIndex(tf.Module):  # type: ignore[misc]
    """Finds the ids of crosses of both sides without joining texts.

    Args:
        spec: the resolved feature spec, of a ranking.
        crosses: the crosses, for each of which `can_index` holds.
        vocabularies: the tokens of each cross in the order of their ids.
        parts: the items' parts by item columns: bytes [items], or lists [items, any] filled up with empty ones.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        crosses: Sequence[Cross],
        vocabularies: Mapping[str, Sequence[str]],
        parts: Mapping[ItemColumns, npt.NDArray[np.object_]],
    ) -> None:
        super().__init__()
        self._crosses = crosses
        self._context_columns = {cross.name: _context_columns(spec, cross) for cross in crosses}
        self._multivalent = {cross.name: spec.is_multivalent(cross) for cross in crosses}
        self._unknown = {cross.name: len(vocabularies[cross.name]) for cross in crosses}
        self.rows: list[ItemRows] = []
        """The rows for each combination of item columns."""

        contexts = {"": 0}  # there is no table without entries, and no cross without a name
        pairs: dict[tuple[int, int], int] = {}
        for columns, of_items in parts.items():
            values, places = np.unique(of_items, return_inverse=True)
            known = set(values.tolist())
            numbers: dict[bytes, int] = {}
            of_columns = [cross for cross in crosses if item_columns(spec, cross) == columns]
            for cross in of_columns:
                for id_, token in enumerate(vocabularies[cross.name]):
                    by_column = dict(zip(cross.columns, token.split(SEPARATOR), strict=True))
                    item = SEPARATOR.join(by_column[column] for column in columns).encode()
                    if item in known:
                        context = SEPARATOR.join(by_column[column] for column in _context_columns(spec, cross))
                        number = contexts.setdefault(cross.name + SEPARATOR + context, len(contexts))
                        pairs[number, numbers.setdefault(item, len(numbers))] = id_
            others = len(numbers)
            of_values = np.array([numbers.get(value, others) for value in values], np.int64)
            if of_items.ndim > 1:
                of_values[values == b""] = _PADDING
            names = [cross.name for cross in of_columns]
            self.rows.append(ItemRows(names, of_values[places].reshape(len(of_items), -1)))

        self._contexts = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(list(contexts), list(contexts.values()), tf.string, tf.int64), _UNKNOWN
        )
        self._items = 1 + max((item for _, item in pairs), default=0) + 1
        keys = np.array([context * self._items + item for context, item in pairs], np.int64)
        order = np.argsort(keys)
        # Behind the last key is one more, so that there is something to compare with what is behind the last.
        self._keys = kept(np.append(keys[order], np.iinfo(np.int64).max))
        self._ids = kept(np.append(np.array(list(pairs.values()), np.int64)[order], 0))

    def contexts(self, texts: Texts) -> dict[str, tf.Tensor]:
        """The numbers of the context's parts by cross, int64 [rows, parts], padded.

        Args:
            texts: the context's columns.
        """
        if not self._crosses:
            return {}
        parts = {
            name: preprocessing.crossed([texts[column] for column in columns])
            for name, columns in self._context_columns.items()
        }
        flat = {name: part.values if isinstance(part, tf.SparseTensor) else part for name, part in parts.items()}
        named = [tf.strings.join([name, values], separator=SEPARATOR) for name, values in flat.items()]
        numbers = _split(self._contexts.lookup(tf.concat(named, axis=0)), flat)
        return {
            name: tf.sparse.to_dense(tf.SparseTensor(part.indices, numbers[name], part.dense_shape), _NOTHING)
            if isinstance(part, tf.SparseTensor)
            else numbers[name][:, tf.newaxis]
            for name, part in parts.items()
        }

    def ids_of_rows(self, contexts: Mapping[str, tf.Tensor], rows: Sequence[ItemRows]) -> dict[str, tf.Tensor]:
        """The ids of the crosses of all rows.

        Args:
            contexts: what `contexts` gave, of one row.
            rows: those whose crosses are to be found.
        """
        # A part may be in many rows, but it is looked up once.
        parts = {each: tf.range(each.parts, dtype=tf.int64)[:, tf.newaxis] for each in rows}
        found = self.ids(contexts, {name: parts[each] for each in rows for name in each.crosses})
        for each in rows:
            for name in each.crosses:
                if self._multivalent[name]:
                    ids = tf.gather(found[name], tf.maximum(each.numbers, 0))
                    ids = tf.where(each.numbers[:, :, tf.newaxis] == _PADDING, tf.constant(_PADDING, tf.int64), ids)
                    found[name] = tf.reshape(ids, [each.numbers.shape[0], -1])
                else:
                    found[name] = tf.gather(found[name], each.numbers[:, 0])
        return found

    def ids(self, contexts: Mapping[str, tf.Tensor], items: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The ids of crosses, as `trainer.input_columns` describes them.

        Args:
            contexts: what `contexts` gave, of one row or of as many as there are of items.
            items: rows of `ItemRows.numbers` by cross, for some or all crosses.
        """
        pairs: dict[str, tf.Tensor] = {}
        there: dict[str, tf.Tensor] = {}
        for name, item in items.items():
            context = contexts[name]
            if self._multivalent[name]:
                context, item = context[:, :, tf.newaxis], item[:, tf.newaxis]
                there[name] = (context != _NOTHING) & (item != _PADDING)
            else:
                context, item = context[:, 0], item[:, 0]
            pairs[name] = context * self._items + item
        if not pairs:
            return {}
        flat = tf.concat([tf.reshape(keys, [-1]) for keys in pairs.values()], axis=0)
        places = tf.searchsorted(self._keys, flat, out_type=tf.int64)
        found = tf.where(gathered(self._keys, places) == flat, gathered(self._ids, places), _UNKNOWN)
        ids = {}
        for name, values in _split(found, pairs).items():
            ids[name] = tf.where(values == _UNKNOWN, tf.constant(self._unknown[name], tf.int64), values)
            if name in there:
                shape = tf.shape(there[name])
                lists = tf.where(there[name], tf.reshape(ids[name], shape), _PADDING)
                ids[name] = tf.reshape(lists, [shape[0], shape[1] * shape[2]])
        return ids


def can_index(cross: Cross, vocabulary: Sequence[str]) -> bool:
    """Whether tokens that the vocabulary lacks all have one id, and all others can be parted."""
    parted = all(token.count(SEPARATOR) == len(cross.columns) - 1 for token in vocabulary)
    return cross.hash_buckets is None and cross.oov_buckets == 1 and parted


def item_columns(spec: FeatureSpec, cross: Cross) -> ItemColumns:
    """The columns of a cross that describe items."""
    return tuple(column for column in cross.columns if spec.side(column) == "item")


def _context_columns(spec: FeatureSpec, cross: Cross) -> tuple[str, ...]:
    return tuple(column for column in cross.columns if spec.side(column) == "context")


def _split(values: tf.Tensor, like: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Parts a vector into vectors as long as the given tensors together."""
    return dict(zip(like, tf.split(values, [tf.size(each) for each in like.values()], num=len(like)), strict=True))
