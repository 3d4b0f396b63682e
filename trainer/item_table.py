"""The items of a ranking as plain tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tensorflow as tf

from schema.feature_spec import FeatureSpec
from trainer.raw_columns import RawColumn, raw_column

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ItemTable:
    """The items of a dataset.

    Attributes:
        columns: the raw columns that describe items, as plain tensors: [items], or [items, any] filled up with
            `schema.feature_spec.MISSING`. The ids all differ, and none is missing.
        titles: the titles to show to people, string [items]; None if the dataset has none.
    """

    columns: Mapping[str, Array]
    titles: Array | None = None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


def read(path: str, spec: FeatureSpec) -> ItemTable | None:
    """Reads the items that ExampleGen found.

    Args:
        path: a Parquet file with a row per item.
        spec: the resolved feature spec.

    Returns:
        The items; None if the dataset has no ranking, or if no row has an item.
    """
    if spec.ranking is None:
        return None
    with tf.io.gfile.GFile(path, "rb") as file:
        table = pq.read_table(pa.BufferReader(file.read()))
    if not len(table):
        return None
    columns = {
        name: _plain(table[name], raw_column(spec.columns[name]))
        for name in table.column_names
        if name in spec.features or name == spec.ranking.item
    }
    title = spec.ranking.title
    return ItemTable(columns, _plain(pc.cast(table[title], pa.string()), raw_column("string")) if title else None)


def _plain(column: pa.ChunkedArray, raw: RawColumn) -> Array:
    values = column.combine_chunks()
    if not raw.multivalent:
        return _filled(values, raw)
    lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
    plain = np.full((len(values), max(lengths, default=0)), raw.missing, raw.dtype.as_numpy_dtype)
    plain[np.arange(plain.shape[1]) < lengths[:, np.newaxis]] = _filled(values.flatten(), raw)
    return plain


def _filled(values: pa.Array, raw: RawColumn) -> Array:
    filled: Array = pc.fill_null(values, raw.missing).to_numpy(zero_copy_only=False)
    return filled.astype(raw.dtype.as_numpy_dtype)
