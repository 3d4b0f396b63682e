"""The style of tables on a terminal."""

from __future__ import annotations

from rich import box
from rich.markup import escape
from rich.table import Table


def new_table(title: str, *headings: str) -> Table:
    """An empty table. Columns whose headings end in # hold numbers; the # is not shown."""
    made = Table(
        title=escape(title), box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", caption_justify="left"
    )
    for heading in headings:
        number = heading.endswith("#")
        made.add_column(heading.removesuffix("#"), justify="right" if number else "left", overflow="fold")
    return made


def add_row(table: Table, *cells: str) -> None:
    """Adds a row of texts, which are shown literally, brackets included."""
    table.add_row(*map(escape, cells))
