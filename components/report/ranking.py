"""Ranking metrics, coverage and novelty by the length of lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from components.evaluation import bootstrap
from components.evaluation.answers import Floats
from components.evaluation.bootstrap import Counts
from components.evaluation.metrics import groups, registry
from components.evaluation.rows import Rows
from components.evaluation.verdict import Estimate
from components.report.document import GroupSize, Ranking
from schema.feature_spec import FeatureSpec

LENGTH = 10
_SIZES = ((1, 9), (10, 29), (30, 99), (100, None))


def ranking(rows: Rows, counted: Counts, spec: FeatureSpec, share_of: Callable[[Any], Floats | None]) -> Ranking:
    """The facts about the lists of the test split.

    Args:
        rows: the rows, with a ranking and a binary label.
        counted: the counts of these rows in the replicates.
        spec: the resolved spec, with a ranking.
        share_of: a function from items to their shares of the training rows, or to None if these are unknown.
    """
    assert spec.ranking is not None, "asked for rankings only"
    items = rows.columns[spec.ranking.item]
    shown, lengths = np.zeros(len(rows), bool), np.zeros(len(rows), np.int64)
    for members in bootstrap.of_groups(rows):
        best = np.argsort(-rows.candidate.values[members], kind="stable")[:LENGTH]
        shown[members[best]] = True
        lengths[members] = len(members)
    masks = {"all": np.full(len(rows), True)} | {
        f"{low} to {high} rows" if high else f"{low} rows or more": (lengths >= low) & (lengths <= (high or np.inf))
        for low, high in _SIZES
    }
    sizes = [
        GroupSize(
            name=name,
            groups=len(bootstrap.of_groups(rows[mask])),
            rows=int(mask.sum()),
            metrics=_metrics(rows[mask], counted[:, mask]),
            coverage=len(set(items[mask & shown])) / len(set(items[mask])),
            novelty=_novelty(share_of(items[mask & shown])),
        )
        for name, mask in masks.items()
        if mask.any()
    ]
    return Ranking(length=LENGTH, sizes=sizes)


def _metrics(rows: Rows, counted: Counts) -> dict[str, Estimate]:
    assert rows.groups is not None, "asked for rankings only"
    of_rows = rows.labels, rows.candidate.values, rows.groups
    found = {metric.name: bootstrap.measure(metric.name, rows, rows.candidate) for metric in registry.of_lists()}
    found[f"recall@{LENGTH}"] = groups.mean_over_groups(*of_rows, list_recall)
    found["mrr"] = groups.mean_over_groups(*of_rows, list_reciprocal_rank)
    metrics = {}
    for kind, measure in found.items():
        value = bootstrap.once(measure, rows.weights)
        if np.isfinite(value):
            replicates = bootstrap.replicated(measure, rows.weights, counted)
            interval = bootstrap.interval(value, replicates, bootstrap.units(rows), within=(0.0, 1.0))
            metrics[kind] = Estimate(value=value, interval=interval)
    return metrics


def list_recall(labels: Floats, scores: Floats) -> float:
    """The recall@k of a list: the share of its positive rows among its first `LENGTH`; NaN without positive rows."""
    positive = labels[np.argsort(-scores, kind="stable")] > 0.5
    return float(positive[:LENGTH].sum() / positive.sum()) if positive.any() else np.nan


def list_reciprocal_rank(labels: Floats, scores: Floats) -> float:
    """The reciprocal rank of a list's first positive row (its mean is the MRR); NaN without positive rows."""
    positive = labels[np.argsort(-scores, kind="stable")] > 0.5
    return 1 / (1 + float(np.argmax(positive))) if positive.any() else np.nan


def _novelty(shares: Floats | None) -> float | None:
    return float(-np.log2(shares).mean()) if shares is not None and len(shares) else None
