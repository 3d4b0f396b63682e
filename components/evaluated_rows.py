"""Rows of the test split with what each model answered, kept by the Evaluator for those who look closer.

Metrics are sums over all rows. Curves, intervals, comparisons of two models and the worst errors need the rows
themselves. At most `MOST_ROWS` are kept: those with the smallest hashes, which is a random sample, and the same one
whichever model is evaluated on however many workers. Of a ranking whole groups are kept, by a hash of the group: a
list without some of its rows would be another list, and rows of all groups would hide how much groups differ.
"""

from __future__ import annotations

import contextlib
import io
import os
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
from tensorflow_model_analysis.proto import config_pb2

from schema.feature_spec import ColumnType, FeatureSpec
from trainer.raw_columns import raw_column

FILE = "rows.parquet"
"""In the evaluation artifact's folder. Columns:

`example`
    the serialized tf.Example
`candidate`, and `baseline` where there was one
    the model's answer: the probability of a positive label; of a label of many classes the probability of the right
    one; the predicted number
`candidate_class`, `candidate_confidence`, and those of `baseline`
    of a label of many classes the place of the likeliest one, and its probability
"""
EXAMPLE, CANDIDATE, BASELINE = "example", "candidate", "baseline"
MOST_ROWS = 100_000

_UNIT, _HASH = "unit", "hash"
"""Hashes of the ranking's group, or of the row, and of the row."""


class _Where(NamedTuple):
    """In which folder rows are kept, and the column with their groups and its type, if they have groups."""

    folder: str
    group: str = ""
    kind: ColumnType = "string"


_where: ContextVar[_Where | None] = ContextVar("where", default=None)


@contextlib.contextmanager
def kept_in(folder: str, spec: FeatureSpec) -> Iterator[None]:
    """Has evaluations that are set up meanwhile keep their rows; TFX hands extractors no such thing.

    Args:
        folder: of the evaluation artifact.
        spec: the resolved feature spec.
    """
    group = spec.ranking.group if spec.ranking else ""
    before = _where.set(_Where(folder, group, spec.columns[group]) if group else _Where(folder))
    try:
        yield
    finally:
        _where.reset(before)


def keeper(eval_config: config_pb2.EvalConfig) -> tfma.extractors.Extractor:
    """An extractor for batches with predictions, which keeps some rows and passes all on as they are."""
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
                | "Sample" >> beam.CombineGlobally(_SmallestHashes())
                | "Write" >> beam.Map(_write, os.path.join(self._where.folder, FILE))
            )
        return batches


def _answers(extracts: Mapping[str, Any], eval_config: config_pb2.EvalConfig, where: _Where) -> pa.Table:
    """The columns of `FILE`, and hashes."""
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


class _SmallestHashes(beam.CombineFn):  # type: ignore[misc]
    """Tables -> the `MOST_ROWS` rows of theirs with the smallest hashes, in the order of these; a group that would be
    cut is left out.
    """

    def create_accumulator(self) -> list[pa.Table]:
        return []

    def add_input(self, tables: list[pa.Table], table: pa.Table) -> list[pa.Table]:
        return _bounded([*tables, table])

    def merge_accumulators(self, accumulators: Iterable[list[pa.Table]]) -> list[pa.Table]:
        merged: list[pa.Table] = []
        for tables in accumulators:
            merged = _bounded([*merged, *tables])
        return merged

    def extract_output(self, tables: list[pa.Table]) -> pa.Table:
        if not tables:
            return None
        table = _smallest(tables)
        if len(table) <= MOST_ROWS:
            return table
        units = table[_UNIT].to_numpy()
        # A single group of so many rows is kept as far as it goes.
        return table.slice(0, int((units != units[-1]).sum()) or MOST_ROWS)


def _bounded(tables: list[pa.Table]) -> list[pa.Table]:
    return [_smallest(tables)] if sum(map(len, tables)) > 2 * MOST_ROWS else tables


def _smallest(tables: list[pa.Table]) -> pa.Table:
    """One row more than may be kept, by which a group that would be cut is known."""
    table = pa.concat_tables(tables)
    return table.take(np.lexsort((table[_HASH].to_numpy(), table[_UNIT].to_numpy()))[: MOST_ROWS + 1])


def _write(table: pa.Table | None, path: str) -> None:
    if table is not None:
        content = io.BytesIO()
        pq.write_table(table.drop_columns([_UNIT, _HASH]), content, compression="zstd")
        tf.io.gfile.makedirs(os.path.dirname(path))
        with tf.io.gfile.GFile(path, "wb") as file:
            file.write(content.getvalue())


def read(folder: str) -> pa.Table:
    """The rows that were kept in a folder."""
    with tf.io.gfile.GFile(os.path.join(folder, FILE), "rb") as file:
        return pq.read_table(pa.BufferReader(file.read()))
