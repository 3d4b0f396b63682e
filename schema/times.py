"""Converts dates and times in files to seconds: texts in several spellings, and Arrow's temporal types."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

EXAMPLE = "2026-11-29 18:30:00"
"""An example of a time, for error messages."""

_SPELLINGS = (
    # Fractions of a second are cut off, which rounds down, even before 1970.
    (r"(:\d{2})[.,]\d+", r"\1"),
    (r"(:\d{2})\s*(?:UTC|GMT|[zZ])$", r"\1Z"),
    (r"(:\d{2})\s+([+-]\d{2}(?::?\d{2})?)$", r"\1\2"),
    # Times without a zone are in UTC, even beside times with one.
    (r"^(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2})?)$", r"\1Z"),
    (r"^(\d{4}-\d{2}-\d{2})$", r"\1T00:00:00Z"),
)
"""Replacements that turn every spelling into the one that Arrow reads."""

_UNITS = (("seconds", 1), ("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9))
_FIRST, _LAST = 3e8, 1e10
"""July 1979 and the year 2286 in seconds since 1970. Times of logs lie between them, and the ranges of different units
do not overlap."""


def seconds(array: pa.Array) -> pa.Array:
    """Converts dates and times to whole seconds, int64.

    Dates and timestamps become seconds since 1970 in UTC, times of day seconds since midnight, and durations seconds.

    Args:
        array: texts such as `2026-11-29` or `2026-11-29 18:30:00`, optionally with a `T`, a fraction, and a zone (`Z`,
            ` UTC`, `+01:00`), in any mixture; or one of Arrow's temporal types.

    Raises:
        pyarrow.ArrowInvalid: a text is not such a time.
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
    """Parses texts to timestamps in UTC."""
    texts = pc.utf8_trim_whitespace(texts)
    try:
        return texts.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        for pattern, replacement in _SPELLINGS:
            texts = pc.replace_substring_regex(texts, pattern, replacement)
        return texts.cast(pa.timestamp("s", "UTC"))


def unit_since_1970(number: float) -> str | None:
    """The unit in which a number is a time since 1970 that logs may hold; None if there is no such unit."""
    return next((unit for unit, factor in _UNITS if _FIRST * factor <= number < _LAST * factor), None)


def is_calendar(number: float) -> bool:
    """Whether a number is a calendar date in digits, such as 20261129."""
    year, rest = divmod(int(number), 10_000)
    month, day = divmod(rest, 100)
    return number == int(number) and 1970 <= year <= 2286 and 1 <= month <= 12 and 1 <= day <= 31


def in_unit(since_1970: float, unit: str) -> float:
    """Converts seconds since 1970 to another unit."""
    return since_1970 * dict(_UNITS)[unit]
