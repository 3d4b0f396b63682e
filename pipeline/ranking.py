"""Who gets what: asks a server to rank the items of a dataset's catalogue for a user (or query)."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Self

from schema.catalogue import catalogue
from schema.dataset import Dataset
from serving.client import Client


@dataclass(frozen=True)
class RankedItem:
    """An item's place in a list."""

    item: str
    title: str
    probability: float


@dataclass(frozen=True)
class RankedList:
    """The best items for a group, the best first."""

    group: str
    candidates: int
    """How many items were ranked."""
    items: tuple[RankedItem, ...]


class Ranker:
    """Ranks for the groups of a dataset; a context manager.

    Args:
        dataset: with a ranking group and item.
        target: gRPC address of a server that serves the dataset's model under the dataset's name.
    """

    def __init__(self, dataset: Dataset, target: str) -> None:
        self._catalogue = catalogue(dataset)
        self._spec = dataset.spec
        self.client = Client(target, dataset.name)

    def latest_groups(self, count: int) -> list[str]:
        """The groups that were seen last, the last one first."""
        return [str(group) for group in self._catalogue.groups[-count:].to_pylist()[::-1]]

    def rank(self, group: str, k: int, include_seen: bool = False) -> RankedList:
        """The k items with the highest probability for a group.

        Args:
            group: a value of the ranking group's column.
            k: how many.
            include_seen: rank items too that the group has met in the data.

        Raises:
            RanklineError: a group that is not in the data.
            CallError: the server does not answer.
        """
        ranking = self._spec.ranking
        assert ranking is not None, "catalogue() refuses datasets without"
        items = self._catalogue.items if include_seen else self._catalogue.unseen(group)
        inputs = [name for name in items.column_names if name in self._spec.input_columns]
        candidates = {name: items[name].to_pylist() for name in inputs}
        best = self.client.rank(self._catalogue.context(group), candidates, k)
        ids = items[ranking.item]
        titles = items[ranking.title] if ranking.title else ids
        return RankedList(
            group=group,
            candidates=len(items),
            items=tuple(RankedItem(str(ids[entry.index]), str(titles[entry.index]), entry.score) for entry in best),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
