"""The items of a ranking as plain tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tensorflow as tf

from schema.feature_spec import FeatureSpec
from trainer.raw_columns import raw_column

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
        path: a Parquet file with a row per item; it is missing if no row has an item.
        spec: the resolved feature spec.

    Returns:
        The items; None if the dataset has no ranking, or there is no such file.
    """
    table = read_table(path) if spec.ranking else None
    if spec.ranking is None or table is None:
        return None
    columns = {
        name: raw_column(spec.columns[name]).from_arrow(table[name])
        for name in table.column_names
        if name in spec.features or name == spec.ranking.item
    }
    title = spec.ranking.title
    return ItemTable(columns, raw_column("string").from_arrow(pc.cast(table[title], pa.string())) if title else None)


def read_table(path: str) -> pa.Table | None:
    """Reads a Parquet file; None if there is none."""
    if not tf.io.gfile.exists(path):
        return None
    with tf.io.gfile.GFile(path, "rb") as file:
        return pq.read_table(pa.BufferReader(file.read()))
