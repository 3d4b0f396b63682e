"""The metrics with their intervals: over all rows, in comparison with the baseline, and slice by slice."""

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
"""Fewer of the ranking's groups in a slice say too little about it."""
FIRST: Mapping[str, str] = {"binary": "auc", "classes": "accuracy", "number": "rmse"}
"""Kind of a label -> the metric by which slices are worse or better."""
_MOST_SLICES = 60


def metrics(names: Sequence[str], rows: Rows, counted: Counts, found: Sliced) -> list[Metric]:
    """All metrics of a slice, or of all rows; also those that have no value.

    Args:
        names: of the metrics.
        rows: those of it that were kept.
        counted: how often each counts in replicates.
        found: what the Evaluator found over all of them.
    """
    return [metric(name, rows, counted, found) for name in names]


def metric(name: str, rows: Rows, counted: Counts, found: Sliced, confidence: float = bootstrap.CONFIDENCE) -> Metric:
    """One of these metrics, with intervals of that confidence."""
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
            # Of the same rows in each replicate: what both models find hard moves both metrics, and not the change.
            changes = replicates - _replicated(name, rows, rows.baseline, counted)
            change = Estimate(
                value=value - before, interval=bootstrap.interval(value - before, changes, units, share, confidence)
            )
    return Metric(name=name, better=find(name).better, estimate=estimate, baseline=before, change=change)


def slices(
    names: Sequence[str], rows: Rows, counted: Counts, found: Mapping[SliceKey, Sliced]
) -> tuple[list[Slice], int]:
    """The slices, the worst first by the first metric, those with few rows last; and how many were left out.

    Args:
        names: of the metrics.
        rows: those that were kept.
        counted: how often each counts in replicates.
        found: what the Evaluator found over all rows.
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
    """Metrics of rows as the Evaluator would have found them, were there no others."""

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
    """The same of all slices by some columns."""
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
    """A metric of the rows in each replicate."""
    return bootstrap.replicated(bootstrap.measure(name, rows, answers), rows.weights, counted)


def _badness(each: Slice, name: str) -> tuple[bool, float]:
    value = next((metric.estimate.value for metric in each.metrics if metric.name == name), None)
    if value is None:
        return True, math.inf
    return each.few, value if find(name).better == "higher" else -value


def members(rows: Rows, key: SliceKey) -> Mask:
    """Which rows are of a slice."""
    mask = np.full(len(rows), True)
    for column, value in key:
        mask &= np.fromiter(
            (value in map(str, _values(each)) for each in rows.columns[column]),
            bool, len(rows),
        )  # fmt: skip
    return mask


def _values(each: Any) -> tuple[Any, ...]:
    return each if isinstance(each, tuple) else (each,)
