"""The metrics of rows that are resampled, and so how far chance alone may have moved them.

By a Poisson bootstrap: each unit counts as often as a draw from a Poisson distribution with mean 1 says (Chamandy et
al., Estimating uncertainty for massive data streams, 2012). Units are the groups of a ranking, since the rows of a
person are alike, and else rows. All replicates of a metric are computed at once, as sums weighted by how often each row
counts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from components.evaluation.metrics.lists import group_auc, group_ndcg
from components.evaluation.metrics.names import OF_LABEL, OF_RANKING
from components.evaluation.rows import Answers, Floats, Ints, Rows

REPLICATES = 200
CONFIDENCE = 0.95
_SEED = 20160624
_AT_ONCE = 50
"""Replicates, so that memory stays within bounds."""
_KNOWN = 0.9
"""The share of replicates in which a metric must have a value: with few rows, some have rows of one class only."""
_EPSILON = 1e-7
_ROUNDING = 1e-12
"""Of a sum of squares, such a share may be an error."""

Counts = npt.NDArray[np.uint8]
"""[replicates, rows]: how often each row counts in each replicate."""
Measure = Callable[[Floats], Floats]
"""Weights of the rows in each replicate, [replicates, rows] -> the metric's value in each; NaN where it has none."""


def counts(rows: Rows) -> Counts:
    """How often each row counts in each replicate; the same for equal rows."""
    random = np.random.default_rng(_SEED)
    if rows.groups is None:
        return random.poisson(1.0, (REPLICATES, len(rows))).astype(np.uint8)
    units = int(rows.groups.max(initial=-1)) + 1
    return random.poisson(1.0, (REPLICATES, units)).astype(np.uint8)[:, rows.groups]


def replicated(measure: Measure, weights: Floats, counted: Counts) -> Floats:
    """A metric in each replicate.

    Args:
        measure: of the rows.
        weights: [rows], their own.
        counted: of the rows.
    """
    parts = [measure(counted[at : at + _AT_ONCE] * weights) for at in range(0, len(counted), _AT_ONCE)]
    return np.concatenate(parts) if parts else np.zeros(0)


def once(measure: Measure, weights: Floats) -> float:
    """The metric of the rows as they are."""
    return float(measure(weights[np.newaxis])[0])


def interval(
    value: float,
    replicates: Floats,
    units: int,
    share: float = 1.0,
    confidence: float = CONFIDENCE,
    within: tuple[float, float] = (-np.inf, np.inf),
) -> tuple[float, float] | None:
    """Between which values a metric lies: the bootstrap's standard error times a quantile of Student's t.

    `REPLICATES` tell the standard error to 5 %, for any confidence, but hardly a quantile far out in a tail. With t
    an interval is wide enough where there are few units, too (Efron and Tibshirani, An Introduction to the Bootstrap,
    1993, chapter 12).

    Args:
        value: over all rows.
        replicates: the metric's values when rows are resampled.
        units: how many were resampled: groups of a ranking, else rows.
        share: of all rows that were resampled; more rows say more, by the root of how many there are.
        confidence: from 0 to 1, of both sides.
        within: between which values the metric is in any case.

    Returns:
        None where too few replicates have a value, or a single unit cannot differ from others.
    """
    known = replicates[np.isfinite(replicates)]
    if not len(known) or len(known) < _KNOWN * len(replicates) or units < 2 or not np.isfinite(value):
        return None
    reach = float(stats.t.ppf((1 + confidence) / 2, units - 1) * known.std(ddof=1) * np.sqrt(share))
    return max(value - reach, within[0]), min(value + reach, within[1])


def has_both_classes(rows: Rows) -> bool:
    """Whether positive and negative rows have some weight: without, there is no curve and no AUC."""
    return rows.kind == "binary" and len(np.unique(rows.labels[rows.weights > 0])) == 2


def units(rows: Rows, members: Ints | slice = slice(None)) -> int:
    """How many there are to be resampled among some rows: groups of a ranking, else rows."""
    return len(np.unique(rows.groups[members])) if rows.groups is not None else len(rows.labels[members])


def losses(rows: Rows, answers: Answers) -> Floats:
    """What each answer costs: the cross entropy, or of numbers the squared error."""
    if rows.kind == "number":
        return np.square(answers.values - rows.labels)
    likely = np.clip(answers.values, _EPSILON, 1 - _EPSILON)
    if rows.kind == "classes":
        return -np.log(likely)
    return -(rows.labels * np.log(likely) + (1 - rows.labels) * np.log1p(-likely))


def names(rows: Rows) -> Sequence[str]:
    """The metrics of `components.evaluation.metrics.names.METRICS` that rows have."""
    ranked = OF_RANKING if rows.kind == "binary" and rows.groups is not None else ()
    return [*OF_LABEL[rows.kind], *ranked]


def measure(name: str, rows: Rows, answers: Answers) -> Measure:
    """One of these metrics, of the rows' answers."""
    label, one = rows.labels, np.ones(len(rows))
    match name:
        case "auc":
            return _auc(label, answers.values)
        case "calibration":
            return _ratio(answers.values, label)
        case "logloss" | "cross_entropy":
            return _ratio(losses(rows, answers), one)
        case "accuracy":
            return _ratio((answers.classes == label).astype(float), one)
        case "mae":
            return _ratio(np.abs(answers.values - label), one)
        case "rmse":
            mean_square = _ratio(losses(rows, answers), one)
            return lambda weights: np.sqrt(mean_square(weights))
        case "r2":
            return functools.partial(_r2, label, losses(rows, answers))
        case "gauc":
            return of_lists(rows, answers, group_auc, by_rows=True)
        case "ndcg@10":
            return of_lists(rows, answers, group_ndcg)
    raise ValueError(f"expected one of {names(rows)}, received {name!r}")


def of_lists(
    rows: Rows, answers: Answers, of_list: Callable[[Floats, Floats], float], by_rows: bool = False
) -> Measure:
    """A mean over the ranking's groups, of those that have a value.

    Args:
        rows: of a ranking.
        answers: to them.
        of_list: labels and scores of a group -> its value, or NaN.
        by_rows: whether a group weighs as much as its rows together, else as the mean of them.
    """
    # As a mean over rows, of which each stands for its group with its share of the group's weight.
    values, shares = np.full(len(rows), np.nan), np.ones(len(rows))
    for members in of_groups(rows):
        values[members] = of_list(rows.labels[members], answers.values[members])
        if not by_rows:
            shares[members] = 1 / len(members)
    known = np.isfinite(values)
    return _ratio(np.where(known, values * shares, 0), np.where(known, shares, 0))


def _ratio(numerator: Floats, denominator: Floats) -> Measure:
    both = np.stack([numerator, denominator], axis=1)

    def ratio(weights: Floats) -> Floats:
        return _divided(*(weights @ both).T)

    return ratio


def _divided(above: Floats, below: Floats) -> Floats:
    """NaN where there is nothing to divide by."""
    result: Floats = np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)
    return result


def _r2(label: Floats, squares: Floats, weights: Floats) -> Floats:
    total = weights.sum(axis=1)
    # From the lowest label on, so that labels that are all the same deviate by exactly 0.
    label = label - label.min(initial=np.inf)
    square = weights @ np.square(label)
    deviation = square - _divided(np.square(weights @ label), total)
    return 1 - _divided(weights @ squares, np.where(deviation > _ROUNDING * square, deviation, 0))


def _auc(label: Floats, scores: Floats) -> Measure:
    """P(a positive row scores above a negative one), ties counting one half."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf)) if len(scores) else np.zeros(0, int)
    positive = label[order] > 0.5

    def auc(weights: Floats) -> Floats:
        if not len(starts):
            return np.full(len(weights), np.nan)
        ordered = weights[:, order]
        positives = np.add.reduceat(ordered * positive, starts, axis=1)
        negatives = np.add.reduceat(ordered * ~positive, starts, axis=1)
        below = np.cumsum(negatives, axis=1) - negatives / 2
        pairs = positives.sum(axis=1) * negatives.sum(axis=1)
        won = (positives * below).sum(axis=1)
        return _divided(won, pairs)

    return auc


def of_groups(rows: Rows) -> list[npt.NDArray[np.intp]]:
    """The rows of each group."""
    assert rows.groups is not None, "asked for rankings only"
    order = np.argsort(rows.groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(rows.groups[order])) + 1) if len(order) else []
