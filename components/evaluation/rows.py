"""The kept rows of an evaluation, parsed for the report and the gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow as tf

from components.evaluation import evaluated_rows
from components.evaluation.answers import Answers, Floats, Ints
from components.evaluation.evaluated_rows import BASELINE, CANDIDATE
from schema.answers import LabelKind
from schema.feature_spec import LABEL, MISSING, WEIGHT, FeatureSpec
from trainer.raw_columns import raw_column

Mask = npt.NDArray[np.bool_]

_LABELS = {
    LABEL: tf.io.FixedLenFeature([], tf.float32),
    WEIGHT: tf.io.FixedLenFeature([], tf.float32, 1.0),
}


@dataclass(frozen=True)
class Rows:
    """Rows of the test split.

    Attributes:
        kind: the kind of the label.
        labels: [rows], the labels as in examples.
        weights: [rows], the example weights.
        candidate: the candidate's answers.
        baseline: the baseline's answers; None without one.
        groups: [rows], codes of the ranking's groups, from 0; None without a ranking.
        columns: the raw columns, [rows], of values or tuples of values; None or empty where missing.
        examples: [rows], the serialized tf.Examples.
    """

    kind: LabelKind
    labels: Floats
    weights: Floats
    candidate: Answers
    baseline: Answers | None
    groups: Ints | None
    columns: Mapping[str, npt.NDArray[np.object_]]
    examples: npt.NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Mask | Ints) -> Rows:
        """Selects rows by a mask or by their places."""
        return Rows(
            kind=self.kind,
            labels=self.labels[rows],
            weights=self.weights[rows],
            candidate=self.candidate[rows],
            baseline=None if self.baseline is None else self.baseline[rows],
            groups=None if self.groups is None else self.groups[rows],
            columns={name: values[rows] for name, values in self.columns.items()},
            examples=self.examples[rows],
        )


def read(folder: str, spec: FeatureSpec) -> Rows:
    """Reads the rows in an evaluation artifact's folder.

    Args:
        folder: the artifact's folder.
        spec: the resolved spec of the artifact's dataset.
    """
    table = evaluated_rows.read(folder)
    examples = table[evaluated_rows.EXAMPLE].to_numpy()
    parsed = tf.io.parse_example(tf.constant(examples, tf.string), _LABELS)
    columns = columns_of(examples, spec)
    group = spec.ranking.group if spec.ranking else None
    return Rows(
        kind=spec.label.kind,
        labels=parsed[LABEL].numpy().astype(np.float64),
        weights=parsed[WEIGHT].numpy().astype(np.float64),
        candidate=_answers(table, CANDIDATE),
        baseline=_answers(table, BASELINE) if BASELINE in table.column_names else None,
        groups=_codes(columns[group]) if group else None,
        columns=columns,
        examples=examples,
    )


def _codes(values: npt.NDArray[np.object_]) -> Ints:
    """A code for each value, from 0; equal values have equal codes."""
    codes: Ints = np.unique(values.astype(str), return_inverse=True)[1]
    return codes


def columns_of(examples: Sequence[bytes], spec: FeatureSpec) -> dict[str, npt.NDArray[np.object_]]:
    """The raw columns of serialized examples, in the form of `Rows.columns`."""
    raw = {name: raw_column(kind) for name, kind in spec.columns.items()}
    features = {
        name: tf.io.RaggedFeature(column.dtype) if column.multivalent else column.feature
        for name, column in raw.items()
    }
    parsed = tf.io.parse_example(tf.constant(examples, tf.string), features)
    return {name: _values(parsed[name], kind) for name, kind in spec.columns.items()}


def _values(column: tf.Tensor | tf.RaggedTensor, kind: str) -> npt.NDArray[np.object_]:
    """A column's values, [rows]: texts as str, lists as tuples, None for missing values."""
    found: npt.NDArray[np.object_]
    if isinstance(column, tf.RaggedTensor):
        found = np.empty(column.nrows(), object)
        found[:] = [tuple(map(_text, values)) for values in column.to_list()]
        return found
    found = column.numpy().astype(object)
    if kind == "string":
        found = np.array([_text(value) or None for value in found], object)
    found[found == MISSING[kind]] = None
    return found


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _answers(table: pa.Table, name: str) -> Answers:
    def column(suffix: str) -> npt.NDArray[Any]:
        return table[name + suffix].to_numpy() if name + suffix in table.column_names else np.zeros(0)

    return Answers(
        column("").astype(np.float64), column("_class").astype(np.int64), column("_confidence").astype(np.float64)
    )
