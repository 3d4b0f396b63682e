"""Commands about datasets."""

from __future__ import annotations

import click
from rich.markup import escape

from pipeline.commands import options
from pipeline.terminal.console import busy, console


@click.command()
def datasets() -> None:
    """List the datasets that come with Rankline."""
    from schema.dataset import available

    for name, description in available():
        click.echo(f"{name:<12} {description}")


@click.command()
@options.dataset_or_default
def validate(dataset: str) -> None:
    """Check a dataset's description against its files.

    Shows what becomes of every column, and how large vocabularies, splits and the model's input are.
    """
    from pipeline.tables import description_tables
    from schema.dataset import find
    from schema.describe import describe

    terminal = console()
    with busy(terminal, "Reading the files"):
        found = find(dataset)
        description = describe(found)
    for table in description_tables(description):
        terminal.print(table)
    for remark in description.remarks:
        terminal.print(f"[yellow]Warning:[/yellow] {escape(remark)}", soft_wrap=True)
    if found.spans:
        terminal.print(found.spans.summary())
