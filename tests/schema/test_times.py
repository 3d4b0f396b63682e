"""Times as logs write them, and the units of times since 1970."""

import pyarrow as pa
import pytest

from schema import times

DAY = 86400


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-02", DAY),
        ("1970-01-02 00:00", DAY),
        ("1970-01-02 00:00:01", DAY + 1),
        ("1970-01-02T00:00:01", DAY + 1),
        ("1970-01-02 00:00:01.9", DAY + 1),
        ("1970-01-02 00:00:01,9", DAY + 1),
        ("1970-01-02T00:00:01.123456789", DAY + 1),
        ("1970-01-02T00:00:01.123456789Z", DAY + 1),
        ("1970-01-02 00:00:01 UTC", DAY + 1),
        ("1970-01-02 00:00:01.5 UTC", DAY + 1),
        ("1970-01-02T01:00:00+01:00", DAY),
        ("1970-01-02 01:00:00 +0100", DAY),
        ("1970-01-01T23:00:00-01", DAY),
        ("1969-12-31 23:59:59.5", -1),
        (" 1970-01-02 ", DAY),
    ],
)
def test_spellings(text, seconds):
    assert times.seconds(pa.array([text, None])).to_pylist() == [seconds, None]
    # In UTC where it says nothing else, also beside times that do.
    mixed = pa.array([text, "1970-01-01 00:00:00", "1970-01-01T01:00:00+01:00"])
    assert times.seconds(mixed).to_pylist() == [seconds, 0, 0]
    assert times.seconds(mixed[1:]).to_pylist() == [0, 0]


@pytest.mark.parametrize(
    "text", ["03/01/2024", "20240301", "2024-13-01", "2024-02-30", "2024-03-01 25:00:00", "10:30", "soon", "1709251200"]
)
def test_what_is_no_time(text):
    with pytest.raises(pa.ArrowInvalid):
        times.seconds(pa.array([text]))


@pytest.mark.parametrize(
    ("number", "unit"),
    [
        (1_709_251_200, "seconds"),
        (1_709_251_200_000, "milliseconds"),
        (1_709_251_200_000_000, "microseconds"),
        (1_709_251_200_000_000_000, "nanoseconds"),
        (20_240_301, None),
        (7, None),
        (-1, None),
    ],
)
def test_units(number, unit):
    assert times.unit_since_1970(number) == unit
    if unit:
        assert times.in_unit(1_709_251_200, unit) == number
