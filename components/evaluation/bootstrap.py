"""The metrics of rows that are resampled, and so how far chance alone may have moved them.

By a Poisson bootstrap: each unit counts as often as a draw from a Poisson distribution with mean 1 says (Chamandy et
al., Estimating uncertainty for massive data streams, 2012). Units are the groups of a ranking, since the rows of a
person are alike, and else rows. All replicates of a metric are computed at once, as sums weighted by how often each row
counts.
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
"""Replicates, so that memory stays within bounds."""
_KNOWN = 0.9
"""The share of replicates in which a metric must have a value: with few rows, some have rows of one class only."""
_LOSSES: Mapping[LabelKind, OfRows] = {
    "binary": binary.losses,
    "classes": classes.losses,
    "number": numbers.square_errors,
}

Counts = npt.NDArray[np.uint8]
"""[replicates, rows]: how often each row counts in each replicate."""


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
    return _LOSSES[rows.kind](rows.labels, answers)


def names(rows: Rows) -> list[str]:
    """The names of the metrics that rows have."""
    return registry.names(rows.kind, ranked=rows.groups is not None)


def measure(name: str, rows: Rows, answers: Answers) -> Measure:
    """One of these metrics, of the rows' answers."""
    return registry.find(name).measure(rows.labels, answers, rows.groups)


def of_groups(rows: Rows) -> list[npt.NDArray[np.intp]]:
    """The rows of each group."""
    assert rows.groups is not None, "asked for rankings only"
    return groups.members(rows.groups)
