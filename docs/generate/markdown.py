"""Markdown for the generated blocks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table. Within a cell, lines are joined and bars are escaped."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.split()))


def anchor(heading: str) -> str:
    """The fragment of a link to a heading, as GitHub and MyST derive it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
