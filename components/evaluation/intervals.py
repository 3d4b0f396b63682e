"""Metrics with their intervals: over all rows, against the baseline, and by slice."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.evaluation import bootstrap
from components.evaluation.answers import Answers, Floats
from components.evaluation.bootstrap import Counts
from components.evaluation.metrics.registry import find
from components.evaluation.results import Sliced, SliceKey
from components.evaluation.rows import Mask, Rows
from components.evaluation.thresholds import MIN_ROWS
from components.evaluation.verdict import Estimate, Metric, Slice

_FEW_GROUPS = 10
"""The number of the ranking's groups below which a slice has too few for intervals."""
FIRST: Mapping[str, str] = {"binary": "auc", "classes": "accuracy", "number": "rmse"}
"""The metric that orders slices, by kind of label."""
_MOST_SLICES = 60


def metrics(names: Sequence[str], rows: Rows, counted: Counts, found: Sliced) -> list[Metric]:
    """The metrics of a slice, or of all rows, including those without a value.

    Args:
        names: the metrics' names.
        rows: the kept rows of the slice.
        counted: the counts of these rows in the replicates.
        found: the Evaluator's results over all rows of the slice.
    """
    return [metric(name, rows, counted, found) for name in names]


def metric(name: str, rows: Rows, counted: Counts, found: Sliced, confidence: float = bootstrap.CONFIDENCE) -> Metric:
    """One metric of a slice, or of all rows, with intervals of a confidence; see `metrics` for the arguments."""
    value, before = found.candidate.get(name), found.baseline.get(name)
    estimate, change = Estimate(value=value), None
    if value is not None and name in bootstrap.names(rows):
        share = len(rows) / max(1, found.rows)
        units = bootstrap.units(rows)
        replicates = _replicated(name, rows, rows.candidate, counted)
        within = find(name).within
        estimate = Estimate(
            value=value, interval=bootstrap.interval(value, replicates, units, share, confidence, within)
        )
        if rows.baseline is not None and before is not None:
            # Both models have the same rows in each replicate: rows that both find hard do not move the change.
            changes = replicates - _replicated(name, rows, rows.baseline, counted)
            change = Estimate(
                value=value - before, interval=bootstrap.interval(value - before, changes, units, share, confidence)
            )
    return Metric(name=name, better=find(name).better, estimate=estimate, baseline=before, change=change)


def slices(
    names: Sequence[str], rows: Rows, counted: Counts, found: Mapping[SliceKey, Sliced]
) -> tuple[list[Slice], int]:
    """The largest slices, ordered by the metric in `FIRST`, and the number of slices left out.

    The worst slice comes first; slices with few rows come last.

    Args:
        names: the metrics' names.
        rows: the kept rows.
        counted: the counts of these rows in the replicates.
        found: the Evaluator's results over all rows, by slice.
    """
    by_size = sorted((key for key in found if key), key=lambda key: -found[key].rows)
    result = []
    for key in by_size[:_MOST_SLICES]:
        mask = members(rows, key)
        own = rows[mask]
        groups = None if own.groups is None else bootstrap.units(own)
        few_groups = groups is not None and groups < _FEW_GROUPS
        result.append(
            Slice(
                name=", ".join(f"{column} = {value}" for column, value in key),
                rows=found[key].rows,
                groups=groups,
                metrics=metrics(names, own, counted[:0] if few_groups else counted[:, mask], found[key]),
                few=few_groups or found[key].rows < MIN_ROWS,
            )
        )
    return sorted(result, key=lambda each: _badness(each, FIRST[rows.kind])), len(by_size) - len(result)


def sliced(rows: Rows, names: Sequence[str]) -> Sliced:
    """The results that the Evaluator would have if these were all rows.

    Args:
        rows: the rows.
        names: the metrics' names.
    """

    def values(answers: Answers | None) -> dict[str, float]:
        if answers is None:
            return {}
        once = {name: bootstrap.once(bootstrap.measure(name, rows, answers), rows.weights) for name in names}
        return {name: value for name, value in once.items() if np.isfinite(value)}

    weighs = rows.weights > 0
    return Sliced(
        rows=len(rows),
        candidate=values(rows.candidate),
        baseline=values(rows.baseline),
        counted=int(weighs.sum()),
        positives=int((weighs & (rows.labels > 0.5)).sum()) if rows.kind == "binary" else None,
    )


def sliced_by(rows: Rows, columns: Sequence[Sequence[str]]) -> dict[SliceKey, Sliced]:
    """The results of `sliced` for each slice by some columns."""
    found: dict[SliceKey, Sliced] = {}
    for names in columns:
        values = [
            sorted({str(value) for each in rows.columns[name] for value in _values(each) if value is not None})
            for name in names
        ]
        for combination in itertools.product(*values):
            key = tuple(zip(names, combination, strict=True))
            mask = members(rows, key)
            if mask.any():
                found[key] = sliced(rows[mask], bootstrap.names(rows))
    return found


def _replicated(name: str, rows: Rows, answers: Answers, counted: Counts) -> Floats:
    """The values of a metric in each replicate."""
    return bootstrap.replicated(bootstrap.measure(name, rows, answers), rows.weights, counted)


def _badness(each: Slice, name: str) -> tuple[bool, float]:
    value = next((metric.estimate.value for metric in each.metrics if metric.name == name), None)
    if value is None:
        return True, math.inf
    return each.few, value if find(name).better == "higher" else -value


def members(rows: Rows, key: SliceKey) -> Mask:
    """The mask of the rows in a slice, [rows]."""
    mask = np.full(len(rows), True)
    for column, value in key:
        mask &= np.fromiter(
            (value in map(str, _values(each)) for each in rows.columns[column]),
            bool, len(rows),
        )  # fmt: skip
    return mask


def _values(each: Any) -> tuple[Any, ...]:
    return each if isinstance(each, tuple) else (each,)
