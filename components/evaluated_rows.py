"""Rows of the test split with what each model answered, kept by the Evaluator for those who look closer.

Metrics are sums over all rows. Curves, intervals, comparisons of two models and the worst errors need the rows
themselves. At most `MOST_ROWS` are kept: those whose examples have the smallest hashes, which is a random sample, and
the same one whichever model is evaluated on however many workers.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import apache_beam as beam
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2

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

_HASH = "hash"

_folder: ContextVar[str | None] = ContextVar("folder", default=None)


@contextlib.contextmanager
def kept_in(folder: str) -> Iterator[None]:
    """Has evaluations that are set up meanwhile keep their rows in a folder; TFX hands extractors no such thing."""
    before = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(before)


def keeper(eval_config: config_pb2.EvalConfig) -> tfma.extractors.Extractor:
    """An extractor for batches with predictions, which keeps some rows and passes all on as they are."""
    return tfma.extractors.Extractor("KeepRows", _KeepRows(eval_config, _folder.get()))


class _KeepRows(beam.PTransform):  # type: ignore[misc]
    def __init__(self, eval_config: config_pb2.EvalConfig, folder: str | None) -> None:
        super().__init__()
        self._eval_config = eval_config
        self._folder = folder

    def expand(self, batches: beam.PCollection[Mapping[str, Any]]) -> beam.PCollection[Mapping[str, Any]]:
        if self._folder is not None:
            (
                batches
                | "Answers" >> beam.Map(_answers, self._eval_config)
                | "Sample" >> beam.CombineGlobally(_SmallestHashes())
                | "Write" >> beam.Map(_write, os.path.join(self._folder, FILE))
            )
        return batches


def _answers(extracts: Mapping[str, Any], eval_config: config_pb2.EvalConfig) -> pa.Table:
    """The columns of `FILE`, and a hash of the example."""
    examples = np.asarray(extracts[tfma.INPUT_KEY], object).ravel()
    columns: dict[str, Any] = {
        _HASH: pd.util.hash_array(examples, categorize=False),
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


class _SmallestHashes(beam.CombineFn):  # type: ignore[misc]
    """Tables -> the `MOST_ROWS` rows of theirs with the smallest hashes, in the order of these."""

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
        return _smallest(tables) if tables else None


def _bounded(tables: list[pa.Table]) -> list[pa.Table]:
    return [_smallest(tables)] if sum(map(len, tables)) > 2 * MOST_ROWS else tables


def _smallest(tables: list[pa.Table]) -> pa.Table:
    table = pa.concat_tables(tables)
    return table.take(np.argsort(table[_HASH].to_numpy(), kind="stable")[:MOST_ROWS])


def _write(table: pa.Table | None, path: str) -> None:
    if table is not None:
        content = io.BytesIO()
        pq.write_table(table.drop_columns(_HASH), content, compression="zstd")
        tf.io.gfile.makedirs(os.path.dirname(path))
        with tf.io.gfile.GFile(path, "wb") as file:
            file.write(content.getvalue())


def read(folder: str) -> pa.Table:
    """The rows that were kept in a folder."""
    with tf.io.gfile.GFile(os.path.join(folder, FILE), "rb") as file:
        return pq.read_table(pa.BufferReader(file.read()))
