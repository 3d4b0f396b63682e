"""The latest row of each item of a ranking, gathered batch by batch."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schema.errors import SpecError
from schema.feature_spec import FeatureSpec
from schema.identity import TIME

Rows = npt.NDArray[np.int64]

ITEMS_FILE = "items.parquet"
"""The file with the table of the items in the folder of an examples artifact."""
_PART, _PLACE = "_part", "_place"
_ROWS_HELD = 1 << 18
"""The rows to hold before only the latest of each item are kept."""


class LatestItems:
    """Keeps the latest row of each item: the one with the latest time in a dataset split by time, else the last one.

    `add` the batches of a part in order, `merge` the parts, then read `table`.

    Args:
        spec: a resolved spec with a ranking.
        part: the number of the part, in the order of the files.
    """

    def __init__(self, spec: FeatureSpec, part: int) -> None:
        if spec.ranking is None:
            raise SpecError("ranking: expected a group and an item, received none")
        self._group, self._item = spec.ranking.group, spec.ranking.item
        self._columns = item_columns(spec)
        self._part = part
        self._rows = 0
        self._held: list[pa.Table] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Adds the next rows of the part, with `schema.identity.TIME` if the dataset is split by time."""
        places = np.arange(self._rows, self._rows + len(batch))
        self._rows += len(batch)
        columns = {name: batch[name] for name in self._columns}
        columns[TIME] = batch[TIME] if TIME in batch.schema.names else pa.array(np.zeros(len(batch)))
        columns |= {_PART: pa.array(np.full(len(batch), self._part)), _PLACE: pa.array(places)}
        known = pc.and_(batch[self._group].is_valid(), batch[self._item].is_valid())
        self._held.append(pa.Table.from_pydict(columns).filter(known))
        if sum(map(len, self._held)) > _ROWS_HELD + 2 * len(self._held[0]):
            self._held = [self._latest()]

    def merge(self, other: Self) -> None:
        """Adds the rows of another part."""
        self._held = [*self._held, *other._held]
        self._held = [self._latest()]

    def table(self) -> pa.Table:
        """A row per item, sorted by id: its id, the columns that describe it, and its title."""
        return self._latest().select(self._columns).sort_by(self._item).combine_chunks()

    def _latest(self) -> pa.Table:
        rows = pa.concat_tables(self._held).combine_chunks()
        rows = rows.take(pc.sort_indices(rows, [(name, "ascending") for name in (TIME, _PART, _PLACE)]))
        codes, items = coded(rows[self._item])
        return rows.take(pa.array(last_rows(codes, len(items))))


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
