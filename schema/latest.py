"""The latest row of each item of a ranking, and of each group, gathered batch by batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schema.errors import SpecError
from schema.feature_spec import FeatureSpec
from schema.identity import TIME

Rows = npt.NDArray[np.int64]

ITEMS_FILE, CONTEXTS_FILE = "items.parquet", "contexts.parquet"
"""The files with the tables of the items and of the groups' contexts in the folder of an examples artifact."""
_PART, _PLACE = "_part", "_place"
_ROWS_HELD = 1 << 18
"""The rows to hold before only the latest of each item are kept."""


class LatestRows:
    """Keeps the latest row of each value of a column, such as of each item: the one with the latest time in a dataset
    split by time, else the last one. Rows without a group or an item do not count.

    `add` the batches of a part in order, `merge` the parts, then read `table`.

    Args:
        spec: a resolved spec with a ranking.
        part: the number of the part, in the order of the files.
        key: the column.
        columns: the columns of the table, the key among them.
        most: the largest number of values. If there are more, no rows are kept.
    """

    def __init__(self, spec: FeatureSpec, part: int, key: str, columns: Sequence[str], most: float = math.inf) -> None:
        if spec.ranking is None:
            raise SpecError("ranking: expected a group and an item, received none")
        self._group, self._item = spec.ranking.group, spec.ranking.item
        self._key, self._columns = key, list(columns)
        self._part = part
        self._most = most
        self._rows = 0
        self._held: list[pa.Table] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Adds the next rows of the part, with `schema.identity.TIME` if the dataset is split by time."""
        places = np.arange(self._rows, self._rows + len(batch))
        self._rows += len(batch)
        if not self._most:
            return
        columns = {name: batch[name] for name in self._columns}
        columns[TIME] = batch[TIME] if TIME in batch.schema.names else pa.array(np.zeros(len(batch)))
        columns |= {_PART: pa.array(np.full(len(batch), self._part)), _PLACE: pa.array(places)}
        known = pc.and_(batch[self._group].is_valid(), batch[self._item].is_valid())
        self._held.append(pa.Table.from_pydict(columns).filter(known))
        if sum(map(len, self._held)) > _ROWS_HELD + 2 * len(self._held[0]):
            self._keep_latest()

    def merge(self, other: Self) -> None:
        """Adds the rows of another part."""
        self._most = min(self._most, other._most)
        self._held = [*self._held, *other._held]
        self._keep_latest()

    def table(self) -> pa.Table | None:
        """A row per value, sorted by the key; None if there are none, or too many."""
        self._keep_latest()
        if not self._held:
            return None
        return self._held[0].select(self._columns).sort_by(self._key).combine_chunks()

    def _keep_latest(self) -> None:
        if not self._most:
            self._held = []
        if not self._held:
            return
        rows = pa.concat_tables(self._held).combine_chunks()
        rows = rows.take(pc.sort_indices(rows, [(name, "ascending") for name in (TIME, _PART, _PLACE)]))
        codes, values = coded(rows[self._key])
        if len(values) > self._most:
            self._most = 0  # from now on, rows are not even looked at
            self._held = []
        else:
            self._held = [rows.take(pa.array(last_rows(codes, len(values))))]


def latest_items(spec: FeatureSpec, part: int) -> LatestRows:
    """Keeps the latest row of each item: its id, the columns that describe it, and its title."""
    assert spec.ranking is not None, "only rankings have items"
    return LatestRows(spec, part, spec.ranking.item, item_columns(spec))


def latest_contexts(spec: FeatureSpec, part: int, most: int) -> LatestRows:
    """Keeps the latest context of each group: the model's inputs that do not describe an item.

    Args:
        spec: a resolved spec with a ranking.
        part: the number of the part, in the order of the files.
        most: the largest number of groups. If there are more, or if the model does not see the group, no rows are kept.
    """
    assert spec.ranking is not None, "only rankings have contexts"
    columns = [name for name in spec.input_columns if spec.side(name) == "context"]
    return LatestRows(spec, part, spec.ranking.group, columns, most if spec.ranking.group in columns else 0)


def item_columns(spec: FeatureSpec) -> list[str]:
    """The columns of an item: its id, the columns that describe it, and its title."""
    ranking = spec.ranking
    assert ranking is not None, "only rankings have items"
    titles = [ranking.title] if ranking.title else []
    return list(dict.fromkeys([ranking.item, *ranking.item_columns, *titles]))


def coded(column: pa.ChunkedArray) -> tuple[Rows, pa.Array]:
    """Each value as an index into the different values, and these."""
    encoded = column.combine_chunks().dictionary_encode()
    return np.asarray(encoded.indices).astype(np.int64), encoded.dictionary


def last_rows(codes: Rows, count: int) -> Rows:
    """The last row of each of `count` codes."""
    rows = np.zeros(count, np.int64)
    np.maximum.at(rows, codes, np.arange(len(codes)))
    return rows
