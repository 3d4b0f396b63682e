"""Who gets what: asks a server to rank the items of a dataset's catalogue for a user (or query)."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
from rich.table import Table

from pipeline.live.errors import errors_for_people, wait_while_loading
from pipeline.terminal.tables import add_row, new_table
from schema.catalogue import Catalogue, catalogue
from schema.dataset import Dataset
from schema.errors import RanklineError, listing, nearest
from schema.feature_spec import FeatureSpec, Ranking
from serving.client import Client, Recommended, Tls

_START_S = 60.0
"""How long a server may take until it listens and has heard of the model."""
_FEATURES = "--features sends the columns in the dataset's files"


@dataclass(frozen=True)
class RankedItem:
    """An item's place in a list."""

    item: str
    title: str
    score: float


@dataclass(frozen=True)
class RankedList:
    """The best items for a group, the best first."""

    group: str
    candidates: int | None
    """The number of items that were ranked; None for all that the model knows."""
    items: tuple[RankedItem, ...]


def candidates(items: pa.Table, spec: FeatureSpec) -> dict[str, list[Any]]:
    """Items as `Client.rank` takes them: the columns that a model is asked with."""
    return {name: items[name].to_pylist() for name in items.column_names if name in spec.input_columns}


def recommended(
    target: str,
    name: str,
    group: str,
    k: int,
    context: Mapping[str, str],
    exclude: Sequence[str],
    label: str = "",
    tls: Tls | None = None,
) -> RankedList:
    """Asks a server for the best of all items that a model knows, without any file of the dataset.

    Args:
        target: the server's gRPC address.
        name: the model's name there.
        group: a value of the ranking group's column.
        k: the number of items.
        context: column name -> value, as written on a command line, of further columns that describe the context.
        exclude: the ids of items to leave out.
        label: the label of the version to ask; "" is the latest version.
        tls: the certificates for TLS; None is no TLS.

    Raises:
        RanklineError: the server does not answer, the model does not know items or contexts, or a value does not fit.
    """
    with Client(target, name, label=label, tls=tls) as client, errors_for_people():
        wait_while_loading(client)
        if not client.recommends():
            raise RanklineError(f"{name}: expected a model that knows its items, received one without; {_FEATURES}")
        inputs = client.id_columns()
        needed = [name for name, column in inputs.context.items() if not column.optional and name not in context]
        if len(needed) != 1:
            raise RanklineError(
                f"--context: expected values of all columns of the context but one, which --user is, received none of "
                f"{listing(needed)}, whose latest values the model does not know; {_FEATURES}"
            )
        given = {**context, needed[0]: group}
        for column in given.keys() - inputs.context.keys():
            raise RanklineError(
                f"--context: expected one of {listing(inputs.context)}, received {column!r}"
                f"{nearest(column, inputs.context)}"
            )
        best = client.recommend(
            {column: inputs.context[column].parsed(text) for column, text in given.items()},
            k,
            [inputs.item.parsed(each) for each in exclude],
        )
    return RankedList(group, None, _shown(best))


def _shown(best: Sequence[Recommended]) -> tuple[RankedItem, ...]:
    return tuple(RankedItem(str(each.item), each.title or str(each.item), each.score) for each in best)


class Ranker:
    """Ranks for the groups of a dataset, by its files; a context manager.

    Args:
        dataset: with a ranking group and item.
        target: gRPC address of a server that serves the dataset's model under the dataset's name.
        label: ask the version that has this label there; "" is the latest.
        tls: None is no TLS.
    """

    def __init__(self, dataset: Dataset, target: str, label: str = "", tls: Tls | None = None) -> None:
        self._dataset = dataset
        self._client = Client(target, dataset.name, label=label, tls=tls)

    def wait_for(self, version: int, timeout_s: float) -> int:
        """Waits until the server, which may still have to start, serves a version, or a later one.

        Returns:
            The version that is served.

        Raises:
            RanklineError: it cannot load it, or takes longer; or nobody listens.
        """
        with errors_for_people():
            return self._client.wait_until_available(timeout_s, version, grace_s=_START_S)

    def wait_while_loading(self) -> None:
        """Waits as long as a server that is there is loading the model.

        Raises:
            RanklineError: nobody listens, or who does cannot load it, or takes too long.
        """
        wait_while_loading(self._client)

    @functools.cached_property
    def _catalogue(self) -> Catalogue:
        return catalogue(self._dataset)

    def latest_groups(self, count: int) -> list[str]:
        """The groups that were seen last, the last one first."""
        return self._catalogue.latest_groups(count)

    def check(self, group: str) -> None:
        """Raises the RanklineError of a group that is not in the data, for which no server has to be there."""
        self._catalogue.context(group)

    def rank(self, group: str, k: int, include_seen: bool = False, features: bool = False) -> RankedList:
        """Ranks the items for a group, and returns the best.

        Args:
            group: a value of the ranking group's column.
            k: the number of items.
            include_seen: whether to rank items that the group has seen in the data, too. They are ranked anyway for a
                group that has seen all.
            features: whether to send the items' columns even if the model knows the items by their ids.

        Raises:
            RanklineError: the group is not in the data, or the server does not answer or serves a model of other data.
        """
        items = self._catalogue.unseen(group)
        ranking = self._dataset.spec.ranking
        assert ranking is not None, "catalogue() refuses datasets without"
        if include_seen or not len(items):
            items = self._catalogue.items
        context = self._catalogue.context(group)
        with errors_for_people():
            if not features and self._client.recommends():
                seen = self._catalogue.seen(group)[ranking.item].to_pylist()
                best = self._recommended(context, [] if items is self._catalogue.items else seen, k)
            else:
                best = self._ranked(context, items, ranking, k)
        return RankedList(group, len(items), tuple(best))

    def _recommended(self, context: Mapping[str, Any], exclude: Sequence[int | str], k: int) -> list[RankedItem]:
        """Asks a model that knows the items."""
        return list(_shown(self._client.recommend(context, k, exclude)))

    def _ranked(self, context: Mapping[str, Any], items: pa.Table, ranking: Ranking, k: int) -> list[RankedItem]:
        """Asks a model that has to be told the items' columns."""
        best = self._client.rank(context, candidates(items, self._dataset.spec), k)
        ids = items[ranking.item]
        titles = items[ranking.title] if ranking.title else ids
        return [RankedItem(str(ids[each.index]), str(titles[each.index]), each.score) for each in best]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()


def ranking_table(ranked: RankedList) -> Table:
    """A ranked list."""
    among = "all" if ranked.candidates is None else f"{ranked.candidates:,}"
    table = new_table(f"For {ranked.group}, the best of {among}", "##", "score#", "item", "title")
    for place, item in enumerate(ranked.items, start=1):
        add_row(table, str(place), f"{item.score:.3f}", item.item, item.title)
    return table
