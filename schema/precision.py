"""Numbers that differ by less than the models' numbers of 32 bits can tell."""

from __future__ import annotations

import numpy as np

_FEW_VALUES = 1_000


def coarse(low: float, high: float, count: int) -> str | None:
    """What to say of a numeric column where only few of its values are told apart in 32 bits, such as times.

    Args:
        low: the least of its values, as the files have them.
        high: the greatest.
        count: how many values it has.

    Returns:
        A sentence without the column's name; none, where whole numbers are told apart, or many values.
    """
    step = float(np.spacing(np.float32(max(abs(low), abs(high)))))
    told_apart = (high - low) // step + 1
    if low == high or step <= 1 or told_apart >= min(count, _FEW_VALUES):
        return None
    return (
        f"expected numbers that 32 bits can tell apart, received {count:,} from {low:.15g} to {high:.15g}, where such "
        f"go in steps of {step:.15g}, so that {told_apart:.0f} are told apart at most; subtract the least one from all"
    )
