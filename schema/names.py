"""Names of columns and crosses: any one line of text."""

from __future__ import annotations

import unicodedata

_UNFIT = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of control characters (with line breaks and tabs), of surrogates, which UTF-8 cannot encode, and
of separators of lines and paragraphs."""


def is_fit(name: str) -> bool:
    """Whether messages, and vocabulary files, which have a token per line, can hold a name."""
    return name != "" and not any(unicodedata.category(letter) in _UNFIT for letter in name)


def shown(name: str) -> str:
    """A name as messages show it: unchanged, or with escapes if it has characters that a terminal would not print."""
    return name if name.isprintable() else repr(name)
