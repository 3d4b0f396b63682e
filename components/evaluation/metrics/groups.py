"""Means over the groups of a ranking, whose rows are a list each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from components.evaluation.answers import Floats, Ints
from components.evaluation.metrics.formulas import Measure, divided


def members(groups: Ints) -> list[npt.NDArray[np.intp]]:
    """The rows of each group.

    Args:
        groups: [rows], a code for each group.
    """
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1) if len(order) else []


def mean_over_groups(
    labels: Floats, scores: Floats, groups: Ints, of_list: Callable[[Floats, Floats], float], by_rows: bool = False
) -> Measure:
    """A mean over the groups that have a value.

    Args:
        labels: [rows].
        scores: [rows].
        groups: [rows], a code for each group.
        of_list: labels and scores of a group -> its value, or NaN.
        by_rows: whether a group weighs as much as its rows together, else as the mean of them.
    """
    # As a mean over rows, of which each stands for its group with its share of the group's weight.
    values, shares = np.full(len(labels), np.nan), np.ones(len(labels))
    for rows in members(groups):
        values[rows] = of_list(labels[rows], scores[rows])
        if not by_rows:
            shares[rows] = 1 / len(rows)
    known = np.isfinite(values)
    both = np.where(known, [values * shares, shares], 0)
    return lambda weights: divided(*(both @ weights.T))
