"""A sample of the test split's rows with the models' answers, which the Evaluator keeps for closer looks.

Metrics are sums over all rows. Curves, intervals, comparisons of two models and the worst errors need the rows
themselves. At most `MOST_ROWS` are kept: those with the smallest hashes, which is a random sample, and the same one
for any model and any number of workers. For a ranking, whole groups are kept, by a hash of the group: a list without
some of its rows would be another list, and single rows of all groups would hide the differences between groups.

Each bundle writes its rows to a file and passes on the file's name. Engines limit the size of a record: Flink fails for
one of some ten megabytes.
"""

from __future__ import annotations

import contextlib
import io
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
import tensorflow_model_analysis as tfma
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue
from tensorflow_model_analysis.proto import config_pb2

from schema.feature_spec import ColumnType, FeatureSpec
from trainer.raw_columns import raw_column

FILE = "rows.parquet"
"""The file of the kept rows in the evaluation artifact's folder. Its columns:

`example`
    the serialized tf.Example
`candidate`, and `baseline` if there was one
    the model's answer: the probability of a positive label, the probability of the right one of many classes, or the
    predicted number
`candidate_class`, `candidate_confidence`, and the same for `baseline`
    the index of the likeliest of many classes, and its probability
"""
EXAMPLE, CANDIDATE, BASELINE = "example", "candidate", "baseline"
MOST_ROWS = 100_000

_PARTS = "parts"
"""The folder with the bundles' files, beside `FILE`; it is removed at the end."""

_UNIT, _HASH = "unit", "hash"
"""The columns with the hash of the unit, which is the ranking's group or else the row, and that of the row."""


class _Where(NamedTuple):
    """The folder that rows are kept in, and the column of their groups and its type, if they have groups."""

    folder: str
    group: str = ""
    kind: ColumnType = "string"


_where: ContextVar[_Where | None] = ContextVar("where", default=None)


@contextlib.contextmanager
def kept_in(folder: str, spec: FeatureSpec) -> Iterator[None]:
    """Makes evaluations that are built and run inside the block keep their rows; TFX passes no folder to extractors.

    Args:
        folder: the evaluation artifact's folder.
        spec: the resolved feature spec.
    """
    group = spec.ranking.group if spec.ranking else ""
    before = _where.set(_Where(folder, group, spec.columns[group]) if group else _Where(folder))
    try:
        yield
    finally:
        _where.reset(before)
        # The step that reads the parts must not remove them, since an engine may repeat it. Failed bundles leave parts.
        if tf.io.gfile.exists(parts := os.path.join(folder, _PARTS)):
            tf.io.gfile.rmtree(parts)


def keeper(eval_config: config_pb2.EvalConfig) -> tfma.extractors.Extractor:
    """An extractor for batches with predictions, which keeps some rows and passes all batches on unchanged."""
    return tfma.extractors.Extractor("KeepRows", _KeepRows(eval_config, _where.get()))


class _KeepRows(beam.PTransform):  # type: ignore[misc]
    def __init__(self, eval_config: config_pb2.EvalConfig, where: _Where | None) -> None:
        super().__init__()
        self._eval_config = eval_config
        self._where = where

    def expand(self, batches: beam.PCollection[Mapping[str, Any]]) -> beam.PCollection[Mapping[str, Any]]:
        if self._where is not None:
            (
                batches
                | "Answers" >> beam.Map(_answers, self._eval_config, self._where)
                | "WriteParts" >> beam.ParDo(_WritePart(os.path.join(self._where.folder, _PARTS)))
                | "Parts" >> beam.combiners.ToList()
                | "Join" >> beam.Map(_join, os.path.join(self._where.folder, FILE))
            )
        return batches


def _answers(extracts: Mapping[str, Any], eval_config: config_pb2.EvalConfig, where: _Where) -> pa.Table:
    """The columns of `FILE`, and the hashes of units and rows."""
    examples = np.asarray(extracts[tfma.INPUT_KEY], object).ravel()
    hashes = pd.util.hash_array(examples, categorize=False)
    columns: dict[str, Any] = {
        _UNIT: pd.util.hash_array(_groups(examples, where), categorize=False) if where.group else hashes,
        _HASH: hashes,
        EXAMPLE: pa.array(examples, pa.binary()),
    }
    several = len(eval_config.model_specs) > 1
    for spec in eval_config.model_specs:
        predictions, labels = extracts[tfma.PREDICTIONS_KEY], extracts[tfma.LABELS_KEY]
        if several:
            predictions, labels = predictions[spec.name], labels[spec.name]
        name = BASELINE if spec.is_baseline else CANDIDATE
        answer = predictions[spec.prediction_key] if isinstance(predictions, Mapping) else predictions
        answer = np.asarray(answer, np.float32).reshape(len(examples), -1)
        if answer.shape[1] > 1:
            columns[f"{name}_class"] = answer.argmax(axis=1)
            columns[f"{name}_confidence"] = answer.max(axis=1)
            right = np.asarray(labels, np.int64).reshape(-1, 1)
            answer = np.take_along_axis(answer, right, axis=1)
        columns[name] = answer[:, 0]
    return pa.table(columns)


def _groups(examples: npt.NDArray[np.object_], where: _Where) -> npt.NDArray[Any]:
    features = {where.group: raw_column(where.kind).feature}
    found: npt.NDArray[Any] = tf.io.parse_example(examples, features)[where.group].numpy()
    return found


class _WritePart(beam.DoFn):  # type: ignore[misc]
    """Writes the rows of a bundle that may be kept to a file, and yields its name."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    def start_bundle(self) -> None:
        self._tables: list[pa.Table] = []

    def process(self, table: pa.Table) -> None:
        self._tables = _bounded([*self._tables, table])

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._tables:
            path = os.path.join(self._folder, f"{uuid.uuid4().hex}.parquet")
            _write(_smallest(self._tables), path)
            self._tables = []
            yield GlobalWindows.windowed_value(path)


def _join(parts: Iterable[str], path: str) -> None:
    """Joins the parts into `path`: the `MOST_ROWS` rows with the smallest hashes, less a group that would be cut."""
    tables: list[pa.Table] = []
    for part in parts:
        tables = _bounded([*tables, _read(part)])
    if not tables:
        return
    table = _smallest(tables)
    if len(table) > MOST_ROWS:
        units = table[_UNIT].to_numpy()
        # A single group of more than `MOST_ROWS` rows is cut.
        table = table.slice(0, int((units != units[-1]).sum()) or MOST_ROWS)
    _write(table.drop_columns([_UNIT, _HASH]), path)


def _bounded(tables: list[pa.Table]) -> list[pa.Table]:
    return [_smallest(tables)] if sum(map(len, tables)) > 2 * MOST_ROWS else tables


def _smallest(tables: list[pa.Table]) -> pa.Table:
    """The rows with the smallest hashes; one more than `MOST_ROWS`, to detect a group that would be cut."""
    table = pa.concat_tables(tables)
    return table.take(np.lexsort((table[_HASH].to_numpy(), table[_UNIT].to_numpy()))[: MOST_ROWS + 1])


def _write(table: pa.Table, path: str) -> None:
    content = io.BytesIO()
    pq.write_table(table, content, compression="zstd")
    tf.io.gfile.makedirs(os.path.dirname(path))
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(content.getvalue())


def _read(path: str) -> pa.Table:
    with tf.io.gfile.GFile(path, "rb") as file:
        return pq.read_table(pa.BufferReader(file.read()))


def read(folder: str) -> pa.Table:
    """Reads the kept rows from the evaluation artifact's folder; see `FILE` for the columns."""
    return _read(os.path.join(folder, FILE))
