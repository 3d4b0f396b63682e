"""Commands for a Flink cluster on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.commands import options
from pipeline.terminal.console import busy, console


@click.command("flink-up")
@options.root
@click.option(
    "--task-managers", type=click.IntRange(min=1), default=2, show_default=True, help="The number of TaskManagers."
)
def flink_up(root: Path | None, task_managers: int) -> None:
    """Start a Flink cluster on this machine.

    The cluster is for `rankline run --beam-runner flink` with the same root. It has a JobManager, TaskManagers, and
    Beam's job server, which Maven fetches the first time.
    """
    from pipeline.flink import cluster

    terminal = console()
    with busy(terminal, "Starting Flink"):
        started = cluster.up(root or Path("runs"), task_managers)
    terminal.print(f"Flink is up, TaskManagers: {started.slots}, REST: {started.rest}, jobs: {started.job_endpoint}")


@click.command("flink-down")
@options.root
def flink_down(root: Path | None) -> None:
    """Stop the Flink cluster that `rankline flink-up` has started."""
    from pipeline.flink import cluster

    terminal = console()
    with busy(terminal, "Stopping Flink"):
        was_up = cluster.down(root or Path("runs"))
    terminal.print("Flink is down." if was_up else "No Flink cluster was up.")
