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
        layout: the layout of the dataset's runs.
        targets: the gRPC addresses of the servers.
        config_file: the servers' `--model_config_file`, if they have one.
        base_path: the folder of the versions as the servers see it; None is the folder to which they were pushed.
        tls: the certificates for TLS; None is no TLS.

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
    """The numbers of the pushed versions.

    Raises:
        RanklineError: no version was pushed.
    """
    found = sorted(int(path.name) for path in layout.serving.glob("*") if path.name.isdecimal())
    if not found:
        raise RanklineError(f"{layout.serving}: expected pushed versions, received none; `rankline run` makes one")
    return found


def versions_table(states: Mapping[int, str], labels: Mapping[str, int], pushed: Collection[int]) -> Table:
    """A table of a model's versions, newest first: the pushed ones and those that a server knows."""
    table = new_table("", "version", "labels", "state", "pushed")
    for version in sorted({*states, *pushed}, reverse=True):
        named = ", ".join(label for label, labelled in labels.items() if labelled == version)
        add_row(table, str(version), named, states.get(version, ""), "yes" if version in pushed else "gone")
    return table
