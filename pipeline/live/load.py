"""Load on a server: rankings of a dataset's own users and items."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

import numpy as np
from rich.bar import Bar
from rich.markup import escape
from rich.table import Table

from pipeline.live.errors import errors_for_people, wait_while_loading
from pipeline.live.ranking import candidates
from pipeline.terminal.tables import add_row, new_table
from schema.catalogue import catalogue
from schema.dataset import Dataset
from serving import load
from serving.channel import Tls, connect
from serving.client import CallError, Client
from serving.load import PERCENTILES, LoadReport

_BAR_WIDTH = 40


_USERS = 200
_TIMEOUT_S = 10.0


def requests(dataset: Dataset, client: Client, size: int, by_ids: bool = False) -> list[bytes]:
    """Ranking requests for the users that were seen last, each for items drawn at random, the same in every run.

    Args:
        dataset: a dataset with a ranking group and item.
        client: a client of a server of the dataset's model, which tells the inputs that the model takes.
        size: the number of candidates of a request; beyond the number of items, some occur more than once.
        by_ids: whether requests name items by their ids, and users where the model knows their contexts.

    Returns:
        Serialized PredictRequests.

    Raises:
        RanklineError: the server serves a model of other data.
    """
    assert dataset.spec.ranking is not None, "catalogue() refuses datasets without"
    items = catalogue(dataset)
    random = np.random.default_rng(0)
    drawn: list[bytes] = []
    for user in items.latest_groups(_USERS):
        rows = random.choice(len(items.items), size, replace=size > len(items.items))
        some = items.items.take(rows)
        context = items.context(user)
        asked = None if by_ids else candidates(some, dataset.spec)
        ids = some[dataset.spec.ranking.item].to_pylist() if by_ids else None
        with errors_for_people():
            if by_ids:
                columns = client.id_columns().context
                context = {name: value for name, value in context.items() if not columns[name].optional}
            if not drawn:
                with contextlib.suppress(CallError):  # the load itself will show the error
                    client.rank(context, asked, items=ids)  # finds out whether each candidate needs the context
            drawn.append(client.rank_request(context, asked, items=ids).SerializeToString())
    return drawn


def send_rankings(
    dataset: Dataset,
    target: str,
    size: int,
    clients: int,
    seconds: float,
    rate: float | None = None,
    warm_up_s: float = 1.0,
    label: str = "",
    tls: Tls | None = None,
    features: bool = False,
) -> LoadReport:
    """Sends rankings of a dataset's users and items to a server.

    Args:
        dataset: a dataset with a ranking group and item.
        target: the server's gRPC address.
        size: the number of candidates of each ranking.
        clients: the number of clients, as for `serving.load.run`.
        seconds: the length of the measurement.
        rate: the requests per second, as for `serving.load.run`.
        warm_up_s: the seconds before the measurement, which do not count.
        label: the label of the version to ask; "" is the latest version.
        tls: the certificates for TLS; None is no TLS.
        features: whether requests have the items' columns even if the model knows the items by their ids.

    Raises:
        RanklineError: the server does not answer, or serves a model of other data.
    """
    with Client(target, dataset.name, label=label, tls=tls) as client:
        wait_while_loading(client)
        with errors_for_people():
            by_ids = not features and client.recommends()
        messages = requests(dataset, client, size, by_ids)
    with connect(target, tls) as channel:
        call = functools.partial(channel.unary_unary(load.PREDICT), timeout=_TIMEOUT_S)
        return load.run(call, messages, clients, seconds, rate, warm_up_s)


def load_tables(report: LoadReport) -> Iterator[Table]:
    """A server's answers under load, and the distribution of their latencies."""
    headings = [f"{name} ms#" for name in PERCENTILES]
    table = new_table("", "answers#", "per second#", *headings, "errors#")
    latencies = [f"{report.percentile(percent):,.2f}" if report.answered else "" for percent in PERCENTILES.values()]
    add_row(table, f"{report.answered:,}", f"{report.qps:,.1f}", *latencies, f"{report.failed:,}")
    notes = [f"{count:,} {code}" for code, count in report.errors.items()]
    if report.unsent:
        notes.append(f"{report.unsent:,} were due and not sent: all clients were waiting for answers")
    table.caption = escape(", ".join(notes))
    yield table

    bins = report.histogram()
    table = new_table("", "from ms#", "to ms#", "answers#", "")
    for bar in bins:
        blocks = Bar(max(each.count for each in bins), 0, bar.count, width=_BAR_WIDTH)
        table.add_row(f"{bar.low_ms:,.2f}", f"{bar.high_ms:,.2f}", f"{bar.count:,}", blocks)
    yield table
