"""Which columns lose their values in float32, and which do not."""

import numpy as np
import pytest

from schema.precision import coarse


@pytest.mark.parametrize(
    ("low", "high", "count"),
    [
        (0, 1, 10**9),
        (-1e30, 1e30, 10**6),
        (202401, 202412, 10**6),  # months
        (1.7e12, 1.7e12, 10**6),  # always the same
        (1.7e12, 1.7e12 + 3.2e10, 10**6),  # milliseconds of a year
        (16_777_200, 16_777_215, 10**6),  # the greatest whole numbers that are told apart
        (20240101, 20240101, 1),
    ],
)
def test_columns_that_keep_their_values(low, high, count):
    assert coarse(low, high, count) is None


@pytest.mark.parametrize(
    "values",
    [
        1.7e12 + 60_000.0 * np.arange(2_000),  # milliseconds, one a minute
        np.arange(20240101.0, 20240132.0),  # days of a month
        -1.7e9 - np.arange(3_600.0),  # seconds of an hour
    ],
)
def test_columns_that_lose_some(values):
    sentence = coarse(values.min(), values.max(), len(values))
    assert sentence is not None
    bound = int(sentence.split("at most ")[1].split(" differ")[0])
    assert len(np.unique(values.astype(np.float32))) <= bound + 1 < len(values)


def test_the_sentence():
    assert coarse(1.7e12, 1.7e12 + 60_000 * 1_999, 2_000) == (
        "expected numbers that 32 bits can tell apart, received 2,000 from 1700000000000 to 1700119940000, where "
        "their step is 131072 and at most 916 differ; subtract the smallest from all"
    )
