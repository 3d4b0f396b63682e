"""Commands that move a model's labels from version to version."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.commands import options
from pipeline.terminal.console import busy, console
from schema.finite import FiniteRange

if TYPE_CHECKING:
    from pipeline.run.layout import Layout
    from serving.channel import Tls
    from serving.rollout import Rollout

_targets = click.option(
    "--target", "-t", "targets", multiple=True, default=["127.0.0.1:8500"], show_default=True,
    help="A server's gRPC address. Repeatable: all servers get the same labels.",
)  # fmt: skip
_config_file = click.option(
    "--config-file", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The servers' --model_config_file, which changes with the labels. Needed if they serve other models too.",
)  # fmt: skip
_base_path = click.option(
    "--base-path", help="The folder of the model's versions as the servers see it.  [default: as on this machine]"
)


@dataclass(frozen=True)
class _Servers:
    """A model's versions and its servers, from the options of `_moving`."""

    dataset: str
    layout: Layout
    targets: tuple[str, ...]
    config_file: Path | None
    base_path: str | None
    tls: Tls | None

    def labels(self) -> AbstractContextManager[Rollout]:
        """The labels, for the length of a `with` block."""
        from pipeline.live.versions import rollout

        return rollout(self.layout, self.targets, self.config_file, self.base_path, self.tls)


def _moving(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options of a command that moves labels. The command gets them as `servers`."""

    @functools.wraps(command)
    def with_servers(
        dataset: str,
        root: Path | None,
        targets: tuple[str, ...],
        config_file: Path | None,
        base_path: str | None,
        tls: Tls | None,
        **others: Any,
    ) -> None:
        layout = options.layout(dataset, root)
        command(servers=_Servers(dataset, layout, targets, config_file, base_path, tls), **others)

    moving: Callable[..., None] = with_servers
    for option in (options.encrypted, _base_path, _config_file, _targets, options.root, options.dataset_or_default):
        moving = option(moving)
    return moving


@click.command()
@options.dataset_or_default
@options.root
@_targets
@options.encrypted
def versions(dataset: str, root: Path | None, targets: tuple[str, ...], tls: Tls | None) -> None:
    """List a model's versions, with their labels.

    Shows the pushed versions, and those that a server has or had.
    """
    from pipeline.live.versions import pushed_versions, rollout, versions_table

    terminal = console()
    layout = options.layout(dataset, root)
    with rollout(layout, targets, tls=tls) as labels, busy(terminal, "Asking the server"):
        table = versions_table(labels.states(), labels.labels(), pushed_versions(layout))
    terminal.print(table)


@click.command()
@_moving
@click.option("--version", type=int, help="The version to try.  [default: the latest that was pushed]")
@click.option(
    "--seconds", type=FiniteRange(min=0), default=10.0, show_default=True, help="The length of the trial in seconds."
)
@click.option(
    "--max-errors", type=FiniteRange(0, 1), default=0.0, show_default=True,
    help="The largest error rate beyond the stable version's.",
)  # fmt: skip
@click.option(
    "--max-slower", type=FiniteRange(min=0), default=1.5, show_default=True,
    help="The largest 99th percentile of the time, as a multiple of the stable version's.",
)  # fmt: skip
def canary(servers: _Servers, version: int | None, seconds: float, max_errors: float, max_slower: float) -> None:
    """Try a version beside the stable one.

    Gives it the label canary and sends both the same requests, by turns. If it fails more often or takes longer than
    allowed, the label is taken back. Meanwhile clients should ask for the label stable: without a label, they get the
    latest version.

    Exit status: 0 if it may be promoted, 3 if it was taken back.
    """
    from pipeline.live.trial import CanaryLimits, trial_table, try_canary
    from pipeline.live.versions import pushed_versions
    from schema.dataset import find

    terminal = console()
    with servers.labels() as labels:
        with busy(terminal, "Loading it"):
            moved = labels.canary(max(pushed_versions(servers.layout)) if version is None else version)
        terminal.print(_labelled(moved))
        if not seconds:
            return
        try:
            with busy(terminal, f"Asking both for {seconds:g} s"):
                limits = CanaryLimits(max_errors, max_slower)
                trial = try_canary(find(servers.dataset), servers.targets[0], seconds, limits, servers.tls)
        except BaseException:
            labels.withdraw()
            raise
        terminal.print(trial_table(trial))
        if trial.problems:
            moved = labels.withdraw()
            terminal.print("[bold red]Taken back[/]: the canary does worse.")
            for problem in trial.problems:
                terminal.print(f"  {problem}")
            terminal.print(_labelled(moved))
            sys.exit(3)
        terminal.print("The canary does as well: `rankline promote` makes it the stable version.")


@click.command()
@_moving
@click.option("--version", type=int, help="The version to promote.  [default: the canary]")
def promote(servers: _Servers, version: int | None) -> None:
    """Make a version the stable one.

    The version that was stable gets the label previous and stays loaded. From the first promotion on, servers no longer
    load newer versions as they come, but only when they are promoted or tried.
    """
    _move(servers, lambda labels: labels.promote(version))


@click.command()
@_moving
def rollback(servers: _Servers) -> None:
    """Go back to the version that was stable before."""
    _move(servers, lambda labels: labels.rollback())


def _move(servers: _Servers, move: Callable[[Rollout], Mapping[str, int]]) -> None:
    terminal = console()
    with servers.labels() as labels, busy(terminal, "Moving the label"):
        moved = move(labels)
    terminal.print(_labelled(moved))


def _labelled(labels: Mapping[str, int]) -> str:
    return ", ".join(f"[bold]{label}[/] is version {version}" for label, version in labels.items())
