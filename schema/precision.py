"""Detects numbers that float32, the type of the models' inputs, cannot tell apart."""

from __future__ import annotations

import numpy as np

_FEW_VALUES = 1_000


def coarse(low: float, high: float, count: int) -> str | None:
    """A remark on a numeric column of which float32 can tell only few values apart, such as a column of times.

    Args:
        low: the smallest value, as in the files.
        high: the largest value, as in the files.
        count: the number of values.

    Returns:
        A sentence without the column's name; None if float32 tells whole numbers or many values apart.
    """
    step = float(np.spacing(np.float32(max(abs(low), abs(high)))))
    told_apart = (high - low) // step + 1
    if low == high or step <= 1 or told_apart >= min(count, _FEW_VALUES):
        return None
    return (
        f"expected numbers that 32 bits can tell apart, received {count:,} from {low:.15g} to {high:.15g}, where "
        f"their step is {step:.15g} and at most {told_apart:.0f} differ; subtract the smallest from all"
    )
