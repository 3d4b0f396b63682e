"""Texts of the configuration that must look a certain way."""

from __future__ import annotations

import re

from pydantic import AfterValidator


def like(pattern: str, expected: str) -> AfterValidator:
    """Checks that a text is of a pattern, for `Annotated`.

    Args:
        pattern: a regular expression for all of the text.
        expected: how it is called in an error.
    """

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"expected {expected}, received {text!r}")
        return text

    return AfterValidator(check)
