"""What columns and crosses can be called: anything that is one line of text."""

from __future__ import annotations

import unicodedata

_UNFIT = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of control characters (line breaks and tabs among them), of halves of characters, which UTF-8
cannot say, and of what ends lines and paragraphs."""


def is_fit(name: str) -> bool:
    """Whether files of vocabularies, which have a name or a token to a line, and messages can hold the name."""
    return name != "" and not any(unicodedata.category(letter) in _UNFIT for letter in name)


def shown(name: str) -> str:
    """A name as messages have it: as it is, or with escapes where a terminal would not show it."""
    return name if name.isprintable() else repr(name)
