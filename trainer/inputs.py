"""Transformed examples as batches of columns, read as fast as the model trains.

Parsing examples is most of the cost of reading, and shuffling single rows most of the rest. So examples are parsed
once, in batches, and kept in memory as columns; an epoch is then a permutation of row numbers and a gather per column.
Splits that do not fit in memory are kept on disk as columns, which are read much faster than examples are parsed, in
chunks of a million rows; an epoch is then a permutation of the chunks, and of the rows in each.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import tensorflow as tf

from schema.feature_spec import LABEL, WEIGHT
from trainer.input_columns import InputColumn

Columns = Mapping[str, tf.Tensor | tf.RaggedTensor]
Batch = tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]
"""The features, label and weight of a batch, see `Examples`."""

_READ_ROWS = 8192
"""The number of rows that are parsed at once."""
_FILES_AT_ONCE = 16
_CHUNK_ROWS = 1_000_000
"""The smallest number of rows that are shuffled together if a split is not kept in memory."""


class Examples(Protocol):
    """The rows of a split.

    A batch is a triple: the model's columns by name, as `trainer.input_columns` describes them; the labels, float32
    [batch], or [batch, labels] if a row has several; and the weights, float32 [batch], which are 1 if the dataset has
    none. The last batch of a pass may be smaller.
    """

    rows: int
    positives: int
    """The number of rows whose (first) label is not 0."""

    def in_order(self, batch_size: int) -> tf.data.Dataset:
        """The batches of one pass, in the same order each time."""
        ...

    def shuffled(self, batch_size: int, seed: tf.Tensor) -> tf.data.Dataset:
        """The batches of one pass, in an order that depends on the seed (int64 [2]) alone."""
        ...


def read(
    patterns: Sequence[str],
    columns: Sequence[InputColumn],
    weighted: bool,
    memory_bytes: int,
    labels: Sequence[str] = (LABEL,),
) -> Examples:
    """Opens a split, in memory if it fits, else in the folder for temporary files ($TMPDIR).

    Args:
        patterns: patterns of gzipped TFRecord files of tf.Examples.
        columns: the columns to read.
        weighted: whether examples have `WEIGHT`.
        memory_bytes: the largest size of the columns in memory, in bytes.
        labels: the labels' names in the examples; the first is `LABEL`.
    """
    files = tf.constant(sorted(file for pattern in patterns for file in tf.io.gfile.glob(pattern)), tf.string)
    parse = _Parser(columns, weighted, labels)
    parsed = _records(files).batch(_READ_ROWS).map(parse, tf.data.AUTOTUNE).prefetch(1)
    chunks = [parse(tf.constant([], tf.string))]  # gives an empty split its columns
    taken = 0
    rest = iter(parsed)
    for chunk in rest:
        chunks.append(chunk)
        taken += sum(_bytes(values) for values in chunk.values())
        if taken > memory_bytes:
            return StreamedExamples(_grouped(itertools.chain(chunks, rest)), parsed.element_spec)
    return InMemoryExamples(_joined(chunks))


class InMemoryExamples:
    """Examples in memory, as columns; see `Examples`.

    Args:
        columns: a tensor [rows] for each univalent column, label and weight; a ragged tensor [rows, any] for each
            multi-valent column.
    """

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self.rows = int(columns[LABEL].shape[0])
        self.positives = _positives(columns)

    def in_order(self, batch_size: int) -> tf.data.Dataset:
        return self._by_row(tf.range(self.rows), batch_size)

    def shuffled(self, batch_size: int, seed: tf.Tensor) -> tf.data.Dataset:
        return self._by_row(tf.random.experimental.stateless_shuffle(tf.range(self.rows), seed), batch_size)

    def _by_row(self, order: tf.Tensor, batch_size: int) -> tf.data.Dataset:
        def batch(start: tf.Tensor) -> Batch:
            return _batch(_rows(self._columns, order[start : start + batch_size]))

        starts = tf.data.Dataset.range(0, self.rows, batch_size)
        return starts.map(batch, num_parallel_calls=2).prefetch(2)


class StreamedExamples:
    """Examples on disk, as columns; see `Examples`.

    Args:
        chunks: columns as those of `InMemoryExamples`, each of some of the rows.
        element_spec: the spec of a chunk with any number of rows.
    """

    def __init__(self, chunks: Iterable[Columns], element_spec: Mapping[str, tf.TypeSpec]) -> None:
        folder = tempfile.mkdtemp(prefix="rankline-columns-")
        weakref.finalize(self, shutil.rmtree, folder)
        self._chunks: list[tf.data.Dataset] = []
        self.rows = self.positives = 0
        for index, columns in enumerate(chunks):
            path = os.path.join(folder, str(index))
            tf.data.Dataset.from_tensors(columns).save(path)
            self._chunks.append(tf.data.Dataset.load(path, element_spec))
            self.rows += int(columns[LABEL].shape[0])
            self.positives += _positives(columns)

    def in_order(self, batch_size: int) -> tf.data.Dataset:
        return self._pass(lambda numbers: numbers, batch_size)

    def shuffled(self, batch_size: int, seed: tf.Tensor) -> tf.data.Dataset:
        return self._pass(lambda numbers: tf.random.experimental.stateless_shuffle(numbers, seed), batch_size)

    def _pass(self, arrange: Callable[[tf.Tensor], tf.Tensor], batch_size: int) -> tf.data.Dataset:
        """A pass over the chunks, and over each chunk's rows, in the order into which `arrange` puts their numbers."""

        def batches(columns: Columns) -> tf.data.Dataset:
            order = arrange(tf.range(tf.size(columns[WEIGHT])))
            starts = tf.data.Dataset.range(0, tf.size(order, tf.int64), batch_size)
            return starts.map(lambda start: _rows(columns, order[start : start + batch_size]), num_parallel_calls=2)

        chunks = tf.data.Dataset.choose_from_datasets(
            self._chunks,
            tf.data.Dataset.from_tensor_slices(arrange(tf.range(len(self._chunks), dtype=tf.int64))),
            stop_on_empty_dataset=False,
        )
        # A chunk need not end with a full batch.
        return chunks.prefetch(1).flat_map(batches).rebatch(batch_size).map(_batch).prefetch(2)


class _Parser:
    """Parses serialized examples, string [batch], to columns: multi-valent ones ragged, several labels stacked."""

    def __init__(self, columns: Sequence[InputColumn], weighted: bool, labels: Sequence[str]) -> None:
        of_kind = {
            "categorical": tf.io.FixedLenFeature([], tf.int64),
            "multivalent": tf.io.RaggedFeature(tf.int64),
            "numeric": tf.io.FixedLenFeature([], tf.float32),
        }
        self._features = {column.name: of_kind[column.kind] for column in columns}
        self._labels = labels
        self._features |= {label: tf.io.FixedLenFeature([], tf.float32) for label in labels}
        if weighted:
            self._features[WEIGHT] = tf.io.FixedLenFeature([], tf.float32)

    def __call__(self, serialized: tf.Tensor) -> dict[str, tf.Tensor | tf.RaggedTensor]:
        parsed: dict[str, tf.Tensor | tf.RaggedTensor] = tf.io.parse_example(serialized, self._features)
        if WEIGHT not in parsed:
            parsed[WEIGHT] = tf.ones_like(parsed[LABEL])
        if len(self._labels) > 1:
            parsed[LABEL] = tf.stack([parsed.pop(label) for label in self._labels], axis=1)
        return parsed


def _records(files: tf.Tensor) -> tf.data.Dataset:
    return tf.data.TFRecordDataset(files, compression_type="GZIP", num_parallel_reads=_FILES_AT_ONCE)


def _grouped(chunks: Iterable[dict[str, tf.Tensor | tf.RaggedTensor]]) -> Iterator[Columns]:
    """Joins chunks to larger ones of `_CHUNK_ROWS` or a few more rows; the last may be smaller."""
    group, rows = [], 0
    for chunk in chunks:
        group.append(chunk)
        rows += int(chunk[LABEL].shape[0])
        if rows >= _CHUNK_ROWS:
            yield _joined(group)
            group, rows = [], 0
    if group:
        yield _joined(group)


def _joined(chunks: Sequence[dict[str, tf.Tensor | tf.RaggedTensor]]) -> Columns:
    """Concatenates chunks. Removes each column from the chunks first, so that at most one is in memory twice."""
    return {name: tf.concat([chunk.pop(name) for chunk in chunks], axis=0) for name in list(chunks[0])}


def _positives(columns: Columns) -> int:
    labels = columns[LABEL]
    return int(tf.math.count_nonzero(labels if labels.shape.rank == 1 else labels[:, 0]))


def _rows(columns: Columns, rows: tf.Tensor) -> Columns:
    return {name: tf.gather(values, rows) for name, values in columns.items()}


def _batch(columns: Columns) -> Batch:
    features = {
        name: values.to_tensor(-1) if isinstance(values, tf.RaggedTensor) else values
        for name, values in columns.items()
    }
    return features, features.pop(LABEL), features.pop(WEIGHT)


def _bytes(values: tf.Tensor | tf.RaggedTensor) -> int:
    tensors = tf.nest.flatten(values, expand_composites=True)
    return sum(int(tf.size(tensor)) * tensor.dtype.size for tensor in tensors)
