"""The raw columns of a request, as TensorFlow types and tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from schema.feature_spec import MISSING, ColumnType, FeatureSpec

_DTYPES = {"string": tf.string, "integer": tf.int64, "float": tf.float32}


@dataclass(frozen=True)
class RawColumn:
    """A raw column, as it is parsed from tf.Examples or sent as a plain tensor."""

    dtype: tf.DType
    missing: str | int | float
    """The value that stands for a missing value, and that pads lists."""
    multivalent: bool

    @property
    def feature(self) -> tf.io.FixedLenFeature | tf.io.VarLenFeature:
        """The feature for `tf.io.parse_example`."""
        if self.multivalent:
            return tf.io.VarLenFeature(self.dtype)
        return tf.io.FixedLenFeature([], self.dtype, self.missing)

    @property
    def shape(self) -> list[None]:
        """The shape as a plain tensor: [rows], or [rows, any]."""
        return [None, None] if self.multivalent else [None]

    def nothing(self) -> tf.Tensor | tf.SparseTensor:
        """The column with no rows, as parsing would return it."""
        values = tf.zeros([0], self.dtype)
        if not self.multivalent:
            return values
        return tf.SparseTensor(tf.zeros([0, 2], tf.int64), values, tf.constant([0, 0], tf.int64))

    def missing_row(self) -> tf.Tensor:
        """One row without a value, as a plain tensor."""
        return tf.zeros([1, 0], self.dtype) if self.multivalent else tf.constant([self.missing], self.dtype)

    def to_rows(self, values: tf.Tensor, rows: tf.Tensor) -> tf.Tensor | tf.SparseTensor:
        """The column as parsing would return it, from a plain tensor of `rows` rows, or of one row for all."""
        if not self.multivalent:
            return tf.broadcast_to(values, [rows])
        values = tf.broadcast_to(values, [rows, tf.shape(values)[1]])
        present = tf.where(values != self.missing)
        return tf.SparseTensor(present, tf.gather_nd(values, present), tf.shape(values, tf.int64))

    def from_arrow(self, column: pa.ChunkedArray) -> npt.NDArray[Any]:
        """The column as a plain tensor, from a column of a table."""
        values = column.combine_chunks()
        if not self.multivalent:
            return self._filled(values)
        lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
        plain = np.full((len(values), max(lengths, default=0)), self.missing, self.dtype.as_numpy_dtype)
        plain[np.arange(plain.shape[1]) < lengths[:, np.newaxis]] = self._filled(values.flatten())
        return plain

    def _filled(self, values: pa.Array) -> npt.NDArray[Any]:
        filled: npt.NDArray[Any] = pc.fill_null(values, self.missing).to_numpy(zero_copy_only=False)
        return filled.astype(self.dtype.as_numpy_dtype)


def raw_columns(spec: FeatureSpec) -> dict[str, RawColumn]:
    """The raw columns of requests, by name, in the spec's order."""
    return {name: raw_column(kind) for name, kind in spec.input_columns.items()}


def raw_column(kind: ColumnType) -> RawColumn:
    """The raw column of a type in the spec, whether or not requests have the column."""
    element = kind.removesuffix("s")
    return RawColumn(_DTYPES[element], MISSING[element], multivalent=element != kind)
