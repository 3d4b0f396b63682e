"""Means over the groups of a ranking; the rows of each group are a list."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from components.evaluation.answers import Floats, Ints
from components.evaluation.metrics.formulas import Measure, divided


def members(groups: Ints) -> list[npt.NDArray[np.intp]]:
    """The places of each group's rows.

    Args:
        groups: [rows], the code of each row's group.
    """
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1) if len(order) else []


def mean_over_groups(
    labels: Floats, scores: Floats, groups: Ints, of_list: Callable[[Floats, Floats], float], by_rows: bool = False
) -> Measure:
    """A mean over the groups that have a value.

    Args:
        labels: [rows], the labels.
        scores: [rows], the scores.
        groups: [rows], the code of each row's group.
        of_list: a function from the labels and scores of a group to its value, or NaN.
        by_rows: whether a group's weight is the sum of its rows' weights, else it is their mean.
    """
    # Computed as a mean over rows, in which each row has the value of its group and a share of the group's weight.
    values, shares = np.full(len(labels), np.nan), np.ones(len(labels))
    for rows in members(groups):
        values[rows] = of_list(labels[rows], scores[rows])
        if not by_rows:
            shares[rows] = 1 / len(rows)
    known = np.isfinite(values)
    both = np.where(known, [values * shares, shares], 0)
    return lambda weights: divided(*(both @ weights.T))
