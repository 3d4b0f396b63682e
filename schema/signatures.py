"""The signatures that served models of rankings have for ids of items, and the names of their inputs and outputs."""

from __future__ import annotations

from collections.abc import Collection

RANK, RANK_IDS, RECOMMEND = "rank", "rank_ids", "recommend"

ITEMS, K, EXCLUDE = "items", "k", "exclude"
"""Inputs: the ids of the candidates, the length of the list, and the ids of items to leave out. The ids that are
recommended are an output `ITEMS`."""
TITLES, KNOWN = "titles", "known"
"""Outputs: the titles of the items that are recommended; whether the model knows an id."""

MOST_RECOMMENDED = 10_000
"""The length of the longest list."""


def own_input(name: str, columns: Collection[str]) -> str:
    """The name of an input beside a context's columns: with a leading underscore if a column has that name."""
    return f"_{name}" if name in columns else name
