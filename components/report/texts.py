"""Values of raw columns as readable text."""

from __future__ import annotations

_LONGEST = 60


def shown(value: object) -> str:
    """A value, or a tuple of values, as text; empty for a missing value, cut off if long."""
    match value:
        case None:
            text = ""
        case tuple():
            text = ", ".join(map(str, value))
        case float():
            text = f"{value:g}"
        case _:
            text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
