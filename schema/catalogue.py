"""The items and groups (users or queries) of a dataset, and which items each group has seen, from its own rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schema import reader
from schema.dataset import Dataset
from schema.errors import DataError, RanklineError, SpecError, listing
from schema.feature_spec import TimeSplits
from schema.identity import TIME
from schema.latest import Rows, coded, item_columns, last_rows


@dataclass(frozen=True)
class Catalogue:
    """A ranking dataset's items and groups, each as its latest row describes it.

    Attributes:
        items: a row per item: its id, the columns that describe it, and its title, as examples hold them.
        contexts: a row per group (a user, a query): the model's other inputs. The group that was seen last comes last.
        groups: the values of the group column, in the order of `contexts`.
    """

    items: pa.Table
    contexts: pa.Table
    groups: pa.Array
    _group_column: str
    _starts: Rows
    """The offsets in `_seen` at which each group's items begin, and the end of the last group's."""
    _seen: Rows
    """Row numbers of `items`, group after group."""

    def context(self, group: str | int) -> Mapping[str, Any]:
        """The model's inputs that describe a group; None for a missing value.

        Raises:
            RanklineError: the group does not occur in the data.
        """
        (row,) = self.contexts.slice(self._row(group), 1).to_pylist()
        return dict(row)

    def latest_groups(self, count: int) -> list[str]:
        """The groups that were seen last, the last one first."""
        return [str(group) for group in self.groups[-count:].to_pylist()[::-1]]

    def seen(self, group: str | int) -> pa.Table:
        """The items that occur in a row of the group.

        Raises:
            RanklineError: the group does not occur in the data.
        """
        row = self._row(group)
        return self.items.take(self._seen[self._starts[row] : self._starts[row + 1]])

    def unseen(self, group: str | int) -> pa.Table:
        """The items that occur in none of the group's rows.

        Raises:
            RanklineError: the group does not occur in the data.
        """
        row = self._row(group)
        unseen = np.ones(len(self.items), bool)
        unseen[self._seen[self._starts[row] : self._starts[row + 1]]] = False
        return self.items.filter(pa.array(unseen))

    def _row(self, group: str | int) -> int:
        texts = self.groups.cast(pa.string())
        row: int = pc.index(texts, str(group)).as_py()
        if row < 0:
            raise RanklineError(
                f"{self._group_column}: expected one of the data's {len(texts):,}, such as "
                f"{listing(texts[-5:].to_pylist())}, received {str(group)!r}"
            )
        return row


def catalogue(dataset: Dataset) -> Catalogue:
    """Reads all of a dataset's files, whatever their split; the columns needed are held in memory.

    The latest row is the one with the latest time if the dataset is split by time, else the last one read.

    Raises:
        SpecError: the dataset has no ranking.
        DataError: `schema.reader.read` raises it, or no row has both a group and an item.
    """
    spec, ranking = dataset.spec, dataset.spec.ranking
    if ranking is None:
        raise SpecError(f"{dataset.folder / 'features.yaml'}: ranking: expected a group and an item, received none")
    of_items = item_columns(spec)
    of_contexts = [name for name in spec.input_columns if name not in of_items]
    table = _rows(dataset, [ranking.group, *of_items, *of_contexts])
    table = table.filter(pc.and_(table[ranking.group].is_valid(), table[ranking.item].is_valid()))
    if not len(table):
        raise DataError(
            f"{dataset.folder}: {ranking.group}, {ranking.item}: expected a row with a value of both, the ranking's "
            "group and item, received none; there is no list to rank"
        )

    item, items = coded(table[ranking.item])
    group, groups = coded(table[ranking.group])
    item_rows = last_rows(item, len(items))
    group_rows = last_rows(group, len(groups))
    by_time = np.argsort(group_rows)  # codes of the groups, the last seen one at the end
    place = np.empty_like(by_time)
    place[by_time] = np.arange(len(by_time))
    pairs = np.unique(place[group] * len(items) + item)
    return Catalogue(
        items=table.select(of_items).take(item_rows),
        contexts=table.select(of_contexts).take(group_rows[by_time]),
        groups=groups.take(pa.array(by_time)),
        _group_column=ranking.group,
        _starts=np.searchsorted(pairs, np.arange(len(groups) + 1) * len(items)),
        _seen=pairs % len(items),
    )


def _rows(dataset: Dataset, columns: list[str]) -> pa.Table:
    """All rows of those columns, the latest at the end."""
    names = list(dict.fromkeys(columns))
    batches = (
        batch
        for paths in dataset.files.values()
        for path in paths
        for batch in reader.read(path, dataset.spec, only=names, called="")
    )
    table = pa.Table.from_batches(batches)
    if isinstance(dataset.spec.splits, TimeSplits):
        table = table.take(pa.array(np.argsort(table[TIME].to_numpy(), kind="stable")))
    return table.combine_chunks()
