"""Checks of texts in the configuration."""

from __future__ import annotations

import re

from pydantic import AfterValidator


def like(pattern: str, expected: str) -> AfterValidator:
    """Checks that a text matches a pattern, for `Annotated`.

    Args:
        pattern: a regular expression for the whole text.
        expected: the description of such texts in an error.
    """

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"expected {expected}, received {text!r}")
        return text

    return AfterValidator(check)
