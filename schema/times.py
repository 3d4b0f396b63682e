"""Dates and times as files hold them: texts of several spellings, Arrow's temporal types, numbers since 1970."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

EXAMPLE = "2026-11-29 18:30:00"
"""How errors show what a time looks like."""

_SPELLINGS = (
    # Fractions of a second are cut off, which floors also what is before 1970.
    (r"(:\d{2})[.,]\d+", r"\1"),
    (r"(:\d{2})\s*(?:UTC|GMT|[zZ])$", r"\1Z"),
    (r"(:\d{2})\s+([+-]\d{2}(?::?\d{2})?)$", r"\1\2"),
    # Without a zone it is in UTC, also beside times that name one.
    (r"^(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2})?)$", r"\1Z"),
    (r"^(\d{4}-\d{2}-\d{2})$", r"\1T00:00:00Z"),
)
"""What is replaced, so that all texts are of the one spelling that Arrow reads."""

_UNITS = (("seconds", 1), ("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9))
_FIRST, _LAST = 3e8, 1e10
"""Seconds since 1970 of July 1979 and of the year 2286: between them are times of logs, which no unit shares."""


def seconds(array: pa.Array) -> pa.Array:
    """Seconds as int64: since 1970 in UTC of dates and times, since midnight of times of day; of durations.

    Args:
        array: texts such as `2026-11-29`, `2026-11-29 18:30:00`, with a `T`, a fraction, a zone (`Z`, ` UTC`,
            `+01:00`), mixed at will; or of one of Arrow's temporal types.

    Raises:
        pyarrow.ArrowInvalid: a text that is no such time.
    """
    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        array = _parsed(array)
    elif pa.types.is_date(kind):
        array = array.cast(pa.timestamp("s"))
    if pa.types.is_timestamp(array.type):
        whole = pc.floor_temporal(array.cast(pa.timestamp(array.type.unit)), unit="second")
        return whole.cast(pa.timestamp("s")).cast(pa.int64())
    if pa.types.is_time(kind):
        return array.cast(pa.time32("s"), safe=False).cast(pa.int32()).cast(pa.int64())
    return array.cast(pa.duration("s"), safe=False).cast(pa.int64())


def _parsed(texts: pa.Array) -> pa.Array:
    """Timestamps in UTC."""
    texts = pc.utf8_trim_whitespace(texts)
    try:
        return texts.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        for pattern, replacement in _SPELLINGS:
            texts = pc.replace_substring_regex(texts, pattern, replacement)
        return texts.cast(pa.timestamp("s", "UTC"))


def unit_since_1970(number: float) -> str | None:
    """In which unit a number counts the time since 1970, if it is one that logs hold; else None."""
    return next((unit for unit, factor in _UNITS if _FIRST * factor <= number < _LAST * factor), None)


def is_calendar(number: float) -> bool:
    """Whether a number is a date as in 20261129, which is no count of anything."""
    year, rest = divmod(int(number), 10_000)
    month, day = divmod(rest, 100)
    return number == int(number) and 1970 <= year <= 2286 and 1 <= month <= 12 and 1 <= day <= 31


def in_unit(since_1970: float, unit: str) -> float:
    """Seconds since 1970 in another unit."""
    return since_1970 * dict(_UNITS)[unit]
