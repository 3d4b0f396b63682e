"""Bootstrapped metrics, which show how far chance alone may have moved a metric.

In a Poisson bootstrap, a draw from a Poisson distribution with mean 1 says how often each unit counts (Chamandy et al.,
Estimating uncertainty for massive data streams, 2012). Units are the groups of a ranking, since the rows of a user are
alike, and else rows. All replicates of a metric are computed at once, as sums weighted by the rows' counts.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy import stats

from components.evaluation.answers import Answers, Floats, Ints
from components.evaluation.metrics import binary, classes, groups, numbers, registry
from components.evaluation.metrics.formulas import Measure, OfRows
from components.evaluation.rows import Rows
from schema.answers import LabelKind

REPLICATES = 200
CONFIDENCE = 0.95
_SEED = 20160624
_AT_ONCE = 50
"""The number of replicates that are computed at once, which bounds memory."""
_KNOWN = 0.9
"""The share of replicates in which a metric must have a value; of few rows, some replicates have one class only."""
_LOSSES: Mapping[LabelKind, OfRows] = {
    "binary": binary.losses,
    "classes": classes.losses,
    "number": numbers.square_errors,
}

Counts = npt.NDArray[np.uint8]
"""The number of times that each row counts in each replicate, [replicates, rows]."""


def counts(rows: Rows) -> Counts:
    """Draws the number of times that each row counts in each replicate; the same for each call with equal rows."""
    random = np.random.default_rng(_SEED)
    if rows.groups is None:
        return random.poisson(1.0, (REPLICATES, len(rows))).astype(np.uint8)
    units = int(rows.groups.max(initial=-1)) + 1
    return random.poisson(1.0, (REPLICATES, units)).astype(np.uint8)[:, rows.groups]


def replicated(measure: Measure, weights: Floats, counted: Counts) -> Floats:
    """The values of a metric in each replicate, [replicates].

    Args:
        measure: the metric of the rows.
        weights: [rows], the rows' own weights.
        counted: the rows' counts.
    """
    parts = [measure(counted[at : at + _AT_ONCE] * weights) for at in range(0, len(counted), _AT_ONCE)]
    return np.concatenate(parts) if parts else np.zeros(0)


def once(measure: Measure, weights: Floats) -> float:
    """The value of a metric on the rows themselves, with weights [rows]."""
    return float(measure(weights[np.newaxis])[0])


def interval(
    value: float,
    replicates: Floats,
    units: int,
    share: float = 1.0,
    confidence: float = CONFIDENCE,
    within: tuple[float, float] = (-np.inf, np.inf),
) -> tuple[float, float] | None:
    """The confidence interval of a metric: the bootstrap's standard error times a quantile of Student's t.

    `REPLICATES` replicates give the standard error to 5 %, for any confidence, but not a quantile far out in a tail.
    Student's t makes the interval wide enough for few units, too (Efron and Tibshirani, An Introduction to the
    Bootstrap, 1993, chapter 12).

    Args:
        value: the metric over all rows.
        replicates: [replicates], the metric in each replicate.
        units: the number of resampled units: groups of a ranking, else rows.
        share: the share of all rows that were resampled. The interval shrinks with its square root.
        confidence: the two-sided confidence, from 0 to 1.
        within: the smallest and largest value that the metric can have.

    Returns:
        The lower and upper end; None if too few replicates have a value, or if there are fewer than two units.
    """
    known = replicates[np.isfinite(replicates)]
    if not len(known) or len(known) < _KNOWN * len(replicates) or units < 2 or not np.isfinite(value):
        return None
    reach = float(stats.t.ppf((1 + confidence) / 2, units - 1) * known.std(ddof=1) * np.sqrt(share))
    return max(value - reach, within[0]), min(value + reach, within[1])


def has_both_classes(rows: Rows) -> bool:
    """Whether there are both positive and negative rows with a weight above 0, as curves and AUC need."""
    return rows.kind == "binary" and len(np.unique(rows.labels[rows.weights > 0])) == 2


def units(rows: Rows, members: Ints | slice = slice(None)) -> int:
    """The number of units to resample among some rows: groups of a ranking, else rows."""
    return len(np.unique(rows.groups[members])) if rows.groups is not None else len(rows.labels[members])


def losses(rows: Rows, answers: Answers) -> Floats:
    """The loss of each answer, [rows]: the cross entropy, or the squared error of numbers."""
    return _LOSSES[rows.kind](rows.labels, answers)


def names(rows: Rows) -> list[str]:
    """The names of the metrics that apply to the rows."""
    return registry.names(rows.kind, ranked=rows.groups is not None)


def measure(name: str, rows: Rows, answers: Answers) -> Measure:
    """The metric of this name, one of `names`, on the rows' answers."""
    return registry.find(name).measure(rows.labels, answers, rows.groups)


def of_groups(rows: Rows) -> list[npt.NDArray[np.intp]]:
    """The places of each group's rows."""
    assert rows.groups is not None, "asked for rankings only"
    return groups.members(rows.groups)
