"""Commands about datasets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.table import Table

from pipeline.commands import options
from pipeline.terminal.console import busy, console
from pipeline.terminal.tables import add_row, new_table

if TYPE_CHECKING:
    from schema.describe import Description


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

    Shows the use of every column, and the sizes of vocabularies, splits and the model's input.
    """
    from pipeline.commands.data import description_tables
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


def description_tables(description: Description) -> Iterator[Table]:
    """Tables of each column's use, and of the sizes of the splits and the model's input."""
    table = new_table(
        f"{description.name}: columns", "column", "holds", "becomes", "missing#", "ids#", "width#", "parts"
    )
    for entry in description.features:
        missing = f"{entry.missing:.1%}" if entry.missing else ""
        ids, width = f"{entry.ids:,}" if entry.ids else "", str(entry.width or "")
        add_row(table, entry.name, entry.holds, entry.becomes, missing, ids, width, ", ".join(entry.parts))
    for name, role in description.others.items():
        add_row(table, name, "", role)
    yield table

    if description.crosses:
        table = new_table("crosses", "cross", "of", "becomes", "ids#", "parts")
        for entry in description.crosses:
            add_row(table, entry.name, entry.holds, entry.becomes, f"{entry.ids:,}", ", ".join(entry.parts))
        yield table

    means = {"binary": ("positive#", "{:.1%}"), "number": ("mean label#", "{:.4g}")}
    title, shown = means.get(description.label, ("", ""))
    table = new_table("splits", "split", "rows#", title)
    for name, size in description.splits.items():
        add_row(table, name, f"{size.rows:,}", shown.format(size.labels / size.rows))
    table.caption = (
        f"Rows are split by {escape(description.split_by)}. The wide part sees {description.wide_ids:,} ids, "
        f"the deep part's first layer {description.deep_width:,} numbers."
    )
    yield table
