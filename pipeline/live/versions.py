"""The labels of a dataset's pushed versions."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from rich.table import Table

from pipeline.live.errors import no_server
from pipeline.run.layout import Layout
from pipeline.terminal.tables import add_row, new_table
from schema.errors import RanklineError
from serving.channel import Tls
from serving.rollout import Rollout, UnreachableError


@contextlib.contextmanager
def rollout(
    layout: Layout,
    targets: Sequence[str],
    config_file: Path | None = None,
    base_path: str | None = None,
    tls: Tls | None = None,
) -> Iterator[Rollout]:
    """A rollout of the dataset's model, which is named like the dataset.

    Args:
        layout: of the dataset's runs.
        targets: gRPC addresses of servers.
        config_file: the servers' `--model_config_file`, if they have one.
        base_path: where the versions are, as the servers see it; None is where they were pushed.
        tls: None is no TLS.

    Raises:
        RanklineError: a server does not answer.
    """
    base_path = base_path or str(layout.serving.resolve())
    with Rollout(targets, layout.dataset, base_path, config_file, tls=tls) as opened:
        try:
            yield opened
        except UnreachableError as error:
            raise no_server(error) from error


def pushed_versions(layout: Layout) -> list[int]:
    """The versions that were pushed.

    Raises:
        RanklineError: there is none.
    """
    found = sorted(int(path.name) for path in layout.serving.glob("*") if path.name.isdecimal())
    if not found:
        raise RanklineError(f"{layout.serving}: expected pushed versions, received none; `rankline run` makes one")
    return found


def versions_table(states: Mapping[int, str], labels: Mapping[str, int], pushed: Collection[int]) -> Table:
    """A model's versions, the newest first: those that were pushed and those that a server knows."""
    table = new_table("", "version", "labels", "state", "pushed")
    for version in sorted({*states, *pushed}, reverse=True):
        named = ", ".join(label for label, labelled in labels.items() if labelled == version)
        add_row(table, str(version), named, states.get(version, ""), "yes" if version in pushed else "gone")
    return table
