"""Embeddings of ids: layers that keep the embeddings of many columns in few tables."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace

import keras
import tensorflow as tf

from trainer.input_columns import InputColumn
from trainer.params import TrainParams

_POWERS = {"sum": 0.0, "mean": 1.0, "sqrtn": 0.5}
"""The power of the number of ids that the sum of their embeddings is divided by, by combiner."""

_STDDEV = 0.01
"""The standard deviation of initial embeddings. It is small, so that rarely seen ids have little influence."""
_EQUAL_WIDTH = 16


_table_device: ContextVar[str | None] = ContextVar("table_device", default=None)


@contextlib.contextmanager
def tables_on(device: str | None) -> Iterator[None]:
    """Puts the tables of models that are made inside the block on a device; None leaves them beside everything else."""
    before = _table_device.set(device)
    try:
        yield
    finally:
        _table_device.reset(before)


class FusedEmbedding(keras.layers.Layer):  # type: ignore[misc]
    """The embeddings of several columns, all of one width, by a single gather from a single table.

    Each of the columns' tables has its own range of rows in the fused table; columns that name the same table share its
    range. One gather, and in training one sparse update, cost less than one of each per column.

    Args:
        columns: the columns, categorical and multi-valent.
        width: the width of an embedding.
        initializer: the initializer of the embeddings.
    """

    def __init__(
        self,
        columns: Sequence[InputColumn],
        width: int,
        initializer: str | keras.initializers.Initializer,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self._univalent = [column for column in columns if column.kind == "categorical"]
        self._multivalent = [column for column in columns if column.kind == "multivalent"]
        self.columns = tuple(column.name for column in (*self._univalent, *self._multivalent))
        """The columns' names, in the order of their embeddings."""
        self.sides = {column.name: column.side for column in columns}
        """The side that each column describes."""
        sizes: dict[str, int] = {}
        for column in columns:
            sizes[column.table] = max(column.size, sizes.get(column.table, 0))
        self.tables: dict[str, range] = {}
        """The rows of each of the columns' tables in the fused table."""
        rows = 0
        for table, size in sizes.items():
            self.tables[table] = range(rows, rows + size)
            rows += size
        self._width = width
        self._device = _table_device.get()
        with tf.device(self._device):
            # In mixed precision, autocast would cast the whole table, of which only some rows are gathered.
            self.table = self.add_weight((rows, width), initializer, name="table", autocast=False)
        self.built = True

    def call(self, features: Mapping[str, tf.Tensor], columns: Collection[str] | None = None) -> tf.Tensor:
        """Looks up a batch.

        Args:
            features: the ids by column name, int64 [batch], or [batch, any length] padded with -1 if multi-valent.
            columns: the names of the columns to look up, at least one of the layer's; by default all.

        Returns:
            float32 [batch, columns, width], categorical columns first. A multi-valent column's embedding combines the
            embeddings of its ids: their sum, the sum divided by their number (mean) or by its square root (sqrtn);
            zeros if there are no ids.
        """
        univalent, multivalent = (
            [column for column in kind if columns is None or column.name in columns]
            for kind in (self._univalent, self._multivalent)
        )
        if not multivalent:
            return self._looked_up(self._rows_of_single(features, univalent))
        batch_size = tf.shape(features[multivalent[0].name], tf.int64)[0]
        rows, segments = self._rows_of_lists(features, multivalent)
        if univalent:
            rows = tf.concat([tf.reshape(self._rows_of_single(features, univalent), [-1]), rows], axis=0)
        # One lookup for all rows; those of univalent columns come first.
        single, listed = tf.split(self._looked_up(rows), [batch_size * len(univalent), tf.size(segments, tf.int64)])
        embeddings = self._combined(listed, segments, batch_size, multivalent)
        if univalent:
            embeddings = tf.concat([tf.reshape(single, [-1, len(univalent), self._width]), embeddings], axis=1)
        return embeddings

    def terms(self, features: Mapping[str, tf.Tensor]) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """The terms whose sums are the embeddings of a batch.

        Args:
            features: the ids, as those of `call`.

        Returns:
            Two tensors by column, both float32 [batch, ids, width], padded with zeros: the vectors of the column's ids
            in the table, and the same vectors divided as the combiner says. The sum of the latter over the ids is the
            column's embedding.
        """
        found = {}
        for column in (*self._univalent, *self._multivalent):
            ids = features[column.name]
            ids = ids if column.kind == "multivalent" else ids[:, tf.newaxis]
            present = tf.cast(ids >= 0, tf.float32)
            vectors = self._looked_up(tf.maximum(ids, 0) + self.tables[column.table].start) * present[:, :, tf.newaxis]
            count = tf.maximum(tf.reduce_sum(present, axis=1), 1.0)
            divisor = count ** (_POWERS[column.combiner] if column.kind == "multivalent" else 0.0)
            found[column.name] = (vectors, vectors / divisor[:, tf.newaxis, tf.newaxis])
        return found

    def _rows_of_single(self, features: Mapping[str, tf.Tensor], univalent: Sequence[InputColumn]) -> tf.Tensor:
        """The table's rows of univalent columns: int64 [batch, univalent columns]."""
        ids = tf.stack([features[column.name] for column in univalent], axis=1)
        return ids + self._starts(univalent)

    def _rows_of_lists(
        self, features: Mapping[str, tf.Tensor], multivalent: Sequence[InputColumn]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The table's rows of all ids of multi-valent columns, without padding, and the embedding that each is part of.

        Padding is not looked up, so that one long list does not raise the cost of every row.

        Returns:
            Two tensors, int64 [ids]: rows, and numbers of embeddings. The embedding of the batch's row r and
            multi-valent column c has the number r · columns + c.
        """
        lists = [features[column.name] for column in multivalent]
        ids = tf.concat(lists, axis=1)
        ends = tf.cumsum([tf.shape(each, tf.int64)[1] for each in lists])
        places = tf.where(ids >= 0)
        columns = tf.searchsorted(ends, places[:, 1], side="right", out_type=tf.int64)
        rows = tf.gather_nd(ids, places) + tf.gather(self._starts(multivalent), columns)
        return rows, places[:, 0] * len(lists) + columns

    def _combined(
        self, vectors: tf.Tensor, segments: tf.Tensor, batch_size: tf.Tensor, multivalent: Sequence[InputColumn]
    ) -> tf.Tensor:
        """Combines the vectors of each segment: float32 [batch, multi-valent columns, width]."""
        count = len(multivalent)
        shape = [batch_size, count, self._width]
        sums = tf.reshape(tf.math.unsorted_segment_sum(vectors, segments, batch_size * count), shape)
        powers = [_POWERS[column.combiner] for column in multivalent]
        if not any(powers):
            return sums
        lengths = tf.math.unsorted_segment_sum(tf.ones_like(segments, sums.dtype), segments, batch_size * count)
        divisors = tf.maximum(lengths, 1.0) ** tf.tile(tf.constant(powers, sums.dtype), [batch_size])
        return sums / tf.reshape(divisors, [batch_size, count, 1])

    def _starts(self, columns: Sequence[InputColumn]) -> tf.Tensor:
        return tf.constant([self.tables[column.table].start for column in columns], tf.int64)

    def _looked_up(self, rows: tf.Tensor) -> tf.Tensor:
        """Gathers rows on the table's device, so that the whole table is not sent to another."""
        with tf.device(self._device):
            return tf.gather(self.table.value, rows)


class FieldEmbeddings(keras.layers.Layer):  # type: ignore[misc]
    """The columns as vectors of one width, one per column: embeddings of ids, and v·x for a number x.

    Args:
        columns: the columns, of any kind.
        width: the width of each vector. Rule of thumb: 8 to 32.
    """

    def __init__(self, columns: Sequence[InputColumn], width: int, name: str = "fields") -> None:
        super().__init__(name=name)
        ids = [column for column in columns if column.kind != "numeric"]
        self._numeric = [column.name for column in columns if column.kind == "numeric"]
        self._width = width
        self._embeddings = FusedEmbedding(ids, width, _initial(), name=f"width_{width}") if ids else None
        self._vectors = (
            self.add_weight((len(self._numeric), width), _initial(), name="numbers") if self._numeric else None
        )
        self.fields = len(columns)
        """The number of vectors."""
        self.places = _side_by_side(
            dict.fromkeys([*(self._embeddings.columns if self._embeddings else ()), *self._numeric], width)
        )
        """The places of each column's numbers in a row's vectors, flattened."""
        self.sides = {column.name: column.side for column in columns}
        """The side that each column describes."""
        self.built = True

    def call(self, features: Mapping[str, tf.Tensor], columns: Collection[str] | None = None) -> tf.Tensor:
        """Looks up a batch, of some columns or of all: float32 [batch, fields, width]."""
        vectors = []
        if self._embeddings is not None and has_any(self._embeddings.columns, columns):
            vectors.append(self._embeddings(features, columns=columns))
        if numeric := [name for name in self._numeric if columns is None or name in columns]:
            assert self._vectors is not None, "there are numbers"
            numbers = tf.stack([features[name] for name in numeric], axis=1)
            places = [self._numeric.index(name) for name in numeric]
            kernel = self._vectors if columns is None else tf.gather(self._vectors.value, places)
            vectors.append(numbers[:, :, tf.newaxis] * kernel)
        return tf.concat(vectors, axis=1)

    def some(self, features: Mapping[str, tf.Tensor], columns: Collection[str]) -> tf.Tensor:
        """The vectors of some columns, flattened: float32 [batch, numbers]; see `trainer.models.candidates`."""
        vectors = self(features, columns=columns)
        return tf.reshape(vectors, [-1, vectors.shape[1] * vectors.shape[2]])

    def shaped(self, flat: tf.Tensor) -> tf.Tensor:
        """Reshapes flattened vectors, [batch, numbers], to the shape that `call` returns."""
        return tf.reshape(flat, [-1, self.fields, self._width])


class DenseInputs(keras.layers.Layer):  # type: ignore[misc]
    """The concatenation of all columns of the deep part, one vector per row: embeddings, then numbers.

    Args:
        columns: the columns of the deep part, each with the width of its embedding.
    """

    def __init__(self, columns: Sequence[InputColumn], name: str = "inputs") -> None:
        super().__init__(name=name)
        ids = [column for column in columns if column.kind != "numeric"]
        self._numeric = [column.name for column in columns if column.kind == "numeric"]
        self._embeddings = [
            FusedEmbedding(
                [column for column in ids if column.width == width], width, _initial(), name=f"width_{width}"
            )
            for width in sorted({column.width for column in ids})
        ]
        self.places = _side_by_side(
            {name: layer.table.shape[1] for layer in self._embeddings for name in layer.columns}
            | dict.fromkeys(self._numeric, 1)
        )
        """The places of each column's numbers in the vector."""
        self.width = sum(len(place) for place in self.places.values())
        """The length of the vector."""
        self.sides = {column.name: column.side for column in columns}
        """The side that each column describes."""
        self.built = True

    def call(self, features: Mapping[str, tf.Tensor], columns: Collection[str] | None = None) -> tf.Tensor:
        """Concatenates a batch's embeddings and numbers, of some columns or of all: float32 [batch, width]."""
        vectors = []
        for layer in self._embeddings:
            if has_any(layer.columns, columns):
                embeddings = layer(features, columns=columns)
                vectors.append(tf.reshape(embeddings, [-1, embeddings.shape[1] * embeddings.shape[2]]))
        numeric = [name for name in self._numeric if columns is None or name in columns]
        return tf.concat(vectors + [features[name][:, tf.newaxis] for name in numeric], axis=1)

    def some(self, features: Mapping[str, tf.Tensor], columns: Collection[str]) -> tf.Tensor:
        """The numbers of some columns in the vector: float32 [batch, numbers]; see `trainer.models.candidates`."""
        return self(features, columns=columns)

    def shaped(self, flat: tf.Tensor) -> tf.Tensor:
        """Returns the vectors unchanged, since `call` returns flat vectors."""
        return flat


class EqualInputs(keras.layers.Layer):  # type: ignore[misc]
    """The concatenation of all columns, with numbers as vectors, too: the vectors of `FieldEmbeddings`, flattened.

    Args:
        columns: the columns of the deep part.
        width: the width of each vector.
    """

    def __init__(self, columns: Sequence[InputColumn], width: int, name: str = "inputs") -> None:
        super().__init__(name=name)
        self._fields = FieldEmbeddings(columns, width)
        self.places = self._fields.places
        """The places of each column's numbers in the vector."""
        self.sides = self._fields.sides
        """The side that each column describes."""
        self.width = self._fields.fields * width
        """The length of the vector."""
        self.built = True

    def call(self, features: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Looks up a batch: float32 [batch, width]."""
        return tf.reshape(self._fields(features), [-1, self.width])

    def some(self, features: Mapping[str, tf.Tensor], columns: Collection[str]) -> tf.Tensor:
        """The numbers of some columns in the vector: float32 [batch, numbers]; see `trainer.models.candidates`."""
        return self._fields.some(features, columns)

    def shaped(self, flat: tf.Tensor) -> tf.Tensor:
        """Returns the vectors unchanged, since `call` returns flat vectors."""
        return flat


Vectors = DenseInputs | EqualInputs | FieldEmbeddings
"""The layers from a batch's columns to vectors, see `trainer.models.candidates.Vectors`."""


def has_any(columns: Sequence[str], of: Collection[str] | None) -> bool:
    """Whether any of the columns is one of some; always true for None, which stands for all."""
    return of is None or any(column in of for column in columns)


def _side_by_side(widths: Mapping[str, int]) -> dict[str, range]:
    """The consecutive ranges of the given widths."""
    ends = itertools.accumulate(widths.values())
    return {name: range(end - width, end) for (name, width), end in zip(widths.items(), ends, strict=True)}


def vector_inputs(columns: Sequence[InputColumn], params: TrainParams) -> DenseInputs | EqualInputs:
    """The layer of the deep part's inputs, by `params.embedding_width` and `params.embed_numbers`."""
    if params.embed_numbers:
        return EqualInputs(columns, equal_width(params))
    if params.embedding_width:
        columns = [replace(column, width=params.embedding_width) for column in columns]
    return DenseInputs(columns)


def equal_width(params: TrainParams) -> int:
    """The width of embeddings that are multiplied with each other."""
    return params.embedding_width or _EQUAL_WIDTH


def _initial() -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=_STDDEV)
