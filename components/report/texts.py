"""Values of raw columns as people read them."""

from __future__ import annotations

_LONGEST = 60


def shown(value: object) -> str:
    """One value, or a list of them; empty for what is missing, cut off where it is long."""
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
