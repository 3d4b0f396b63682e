"""Transformed examples as batches of columns, read at the pace of the model.

Parsing examples is most of what reading costs, and shuffling single rows most of the rest. So examples are parsed in
batches, once, and kept in memory as columns; an epoch is then a permutation of row numbers and a gather per column.
Splits that do not fit in memory are read again in each epoch, in another order of files, and shuffled by chunks of a
million rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import tensorflow as tf

from schema.feature_spec import LABEL, WEIGHT
from trainer.input_columns import InputColumn

Columns = Mapping[str, tf.Tensor | tf.RaggedTensor]
Batch = tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]
"""Features, label, weight."""

_READ_ROWS = 8192
"""Rows parsed at once."""
_FILES_AT_ONCE = 16
_CHUNK_ROWS = 1_000_000
"""Rows shuffled among each other where a split is not kept in memory."""


class Examples(Protocol):
    """The rows of a split.

    A batch is a triple: the model's columns by name, as `trainer.input_columns` describes them; the labels; and the
    weights, which are 1 where the dataset has none (float32 [batch]). The last batch of a pass may be smaller.
    """

    rows: int
    positives: int
    """Rows whose label is 1."""

    def in_order(self, batch_size: int) -> tf.data.Dataset:
        """One pass, in the same order each time."""
        ...

    def shuffled(self, batch_size: int, seed: tf.Tensor) -> tf.data.Dataset:
        """One pass in an order that depends on the seed (int64 [2]) alone."""
        ...


def read(patterns: Sequence[str], columns: Sequence[InputColumn], weighted: bool, memory_bytes: int) -> Examples:
    """Opens a split, in memory if it fits.

    Args:
        patterns: of gzipped TFRecord files of tf.Examples.
        columns: the columns to read.
        weighted: whether examples have `WEIGHT`.
        memory_bytes: how much memory the columns may take.
    """
    files = tf.constant(sorted(file for pattern in patterns for file in tf.io.gfile.glob(pattern)), tf.string)
    parse = _Parser(columns, weighted)
    chunks = [parse(tf.constant([], tf.string))]  # gives an empty split its columns
    taken = 0
    for chunk in _records(files).batch(_READ_ROWS).map(parse, tf.data.AUTOTUNE).prefetch(1):
        chunks.append(chunk)
        taken += sum(_bytes(values) for values in chunk.values())
        if taken > memory_bytes:
            return StreamedExamples(files, parse)
    # Popped, so that no more than one column is in memory twice.
    return InMemoryExamples({name: tf.concat([chunk.pop(name) for chunk in chunks], axis=0) for name in parse.names})


class InMemoryExamples:
    """Examples held as columns; see `Examples`.

    Args:
        columns: for each univalent column, label and weight a tensor [rows]; for each multi-valent one a ragged
            tensor [rows, any].
    """

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self.rows = int(columns[LABEL].shape[0])
        self.positives = int(tf.math.count_nonzero(columns[LABEL]))

    def in_order(self, batch_size: int) -> tf.data.Dataset:
        return self._by_row(tf.range(self.rows), batch_size)

    def shuffled(self, batch_size: int, seed: tf.Tensor) -> tf.data.Dataset:
        return self._by_row(tf.random.experimental.stateless_shuffle(tf.range(self.rows), seed), batch_size)

    def _by_row(self, order: tf.Tensor, batch_size: int) -> tf.data.Dataset:
        def batch(start: tf.Tensor) -> Batch:
            rows = order[start : start + batch_size]
            return _batch({name: tf.gather(values, rows) for name, values in self._columns.items()})

        starts = tf.data.Dataset.range(0, self.rows, batch_size)
        return starts.map(batch, num_parallel_calls=2).prefetch(2)


class StreamedExamples:
    """Examples read from their files in each pass; see `Examples`.

    Args:
        files: string [files].
        parse: from serialized examples [batch] to columns.
    """

    def __init__(self, files: tf.Tensor, parse: _Parser) -> None:
        self._files = files
        self._parse = parse
        label = {LABEL: tf.io.FixedLenFeature([], tf.float32)}
        self.rows = self.positives = 0
        for batch in _records(files).batch(_READ_ROWS).map(lambda batch: tf.io.parse_example(batch, label)):
            self.rows += int(tf.size(batch[LABEL]))
            self.positives += int(tf.math.count_nonzero(batch[LABEL]))

    def in_order(self, batch_size: int) -> tf.data.Dataset:
        return _records(self._files).batch(batch_size).map(self._batch, tf.data.AUTOTUNE).prefetch(2)

    def shuffled(self, batch_size: int, seed: tf.Tensor) -> tf.data.Dataset:
        def shuffled(chunk: tf.Tensor) -> tf.data.Dataset:
            rows = tf.random.experimental.stateless_shuffle(chunk, seed)
            starts = tf.data.Dataset.range(0, tf.size(rows, tf.int64), batch_size)
            return starts.map(lambda start: self._batch(rows[start : start + batch_size]), tf.data.AUTOTUNE)

        # `Dataset.shuffle` would take no seed that is a tensor. Chunks of whole batches leave none half full.
        chunk_rows = max(1, _CHUNK_ROWS // batch_size) * batch_size
        records = _records(tf.random.experimental.stateless_shuffle(self._files, seed))
        return records.batch(chunk_rows).flat_map(shuffled).prefetch(2)

    def _batch(self, serialized: tf.Tensor) -> Batch:
        return _batch(self._parse(serialized))


class _Parser:
    """Serialized examples, string [batch] -> columns; multi-valent ones ragged."""

    def __init__(self, columns: Sequence[InputColumn], weighted: bool) -> None:
        of_kind = {
            "categorical": tf.io.FixedLenFeature([], tf.int64),
            "multivalent": tf.io.RaggedFeature(tf.int64),
            "numeric": tf.io.FixedLenFeature([], tf.float32),
        }
        self._features = {column.name: of_kind[column.kind] for column in columns}
        self._features[LABEL] = tf.io.FixedLenFeature([], tf.float32)
        if weighted:
            self._features[WEIGHT] = tf.io.FixedLenFeature([], tf.float32)
        self.names = [*dict.fromkeys([*self._features, WEIGHT])]

    def __call__(self, serialized: tf.Tensor) -> dict[str, tf.Tensor | tf.RaggedTensor]:
        parsed: dict[str, tf.Tensor | tf.RaggedTensor] = tf.io.parse_example(serialized, self._features)
        if WEIGHT not in parsed:
            parsed[WEIGHT] = tf.ones_like(parsed[LABEL])
        return parsed


def _records(files: tf.Tensor) -> tf.data.Dataset:
    return tf.data.TFRecordDataset(files, compression_type="GZIP", num_parallel_reads=_FILES_AT_ONCE)


def _batch(columns: Columns) -> Batch:
    features = {
        name: values.to_tensor(-1) if isinstance(values, tf.RaggedTensor) else values
        for name, values in columns.items()
    }
    return features, features.pop(LABEL), features.pop(WEIGHT)


def _bytes(values: tf.Tensor | tf.RaggedTensor) -> int:
    tensors = tf.nest.flatten(values, expand_composites=True)
    return sum(int(tf.size(tensor)) * tensor.dtype.size for tensor in tensors)
