"""The curves behind a model's metrics: ROC, precision by recall, calibration and the distribution of predictions.

`components.report.charts` draws them.
"""

from __future__ import annotations

import numpy as np
import sklearn.metrics  # type: ignore[import-untyped]

from components.evaluation import bootstrap
from components.evaluation.answers import Floats
from components.evaluation.bootstrap import Counts
from components.evaluation.rows import Rows
from components.evaluation.verdict import Estimate
from components.report.document import Curves, Decile, Distribution, Point

_POINTS = 200
_DECILES = 10
_BINS = 40


def curves(rows: Rows, counted: Counts) -> Curves:
    """The curves of the candidate's predictions.

    Args:
        rows: the rows, at least one.
        counted: the counts of these rows in the replicates.
    """
    predicted, observed = _predicted_and_observed(rows)
    deciles, error = _calibration(rows, predicted, observed, counted)
    roc: list[Point] = []
    precision_recall: list[Point] = []
    if bootstrap.has_both_classes(rows):
        fall_out, recall, _ = sklearn.metrics.roc_curve(rows.labels, predicted, sample_weight=rows.weights)
        roc = _thinned(fall_out, recall)
        precision, recall, _ = sklearn.metrics.precision_recall_curve(
            rows.labels, predicted, sample_weight=rows.weights
        )
        precision_recall = _thinned(recall[::-1], precision[::-1])
    return Curves(
        roc=roc,
        precision_recall=precision_recall,
        positives=float(np.average(observed, weights=rows.weights)),
        calibration=deciles,
        calibration_error=error,
        distribution=_distribution(rows, predicted),
    )


def _predicted_and_observed(rows: Rows) -> tuple[Floats, Floats]:
    """Two values per row with equal means for a calibrated model; for many classes, the confidence in the likeliest
    class and whether it is right."""
    if rows.kind == "classes":
        return rows.candidate.confidences, (rows.candidate.classes == rows.labels).astype(np.float64)
    return rows.candidate.values, rows.labels


def _thinned(x: Floats, y: Floats) -> list[Point]:
    """A curve reduced to few points, evenly spread along x."""
    at = np.unique(np.searchsorted(x, np.linspace(x[0], x[-1], _POINTS)).clip(0, len(x) - 1))
    at = np.union1d(at, [0, len(x) - 1])
    return [(float(x[place]), float(y[place])) for place in at]


def _calibration(rows: Rows, predicted: Floats, observed: Floats, counted: Counts) -> tuple[list[Decile], float]:
    order = np.argsort(predicted, kind="stable")
    within = (-np.inf, np.inf) if rows.kind == "number" else (0.0, 1.0)
    deciles, distances, weights = [], [], []
    for members in np.array_split(order, min(_DECILES, len(order))):
        weight = rows.weights[members]
        if not weight.sum() > 0:
            continue
        below = counted[:, members] * weight
        total = below.sum(axis=1)
        replicates = np.divide(below @ observed[members], total, out=np.full(len(total), np.nan), where=total > 0)
        units = bootstrap.units(rows, members)
        mean, truth = (float(np.average(values[members], weights=weight)) for values in (predicted, observed))
        deciles.append(
            Decile(
                predicted=mean,
                observed=Estimate(value=truth, interval=bootstrap.interval(truth, replicates, units, within=within)),
                rows=len(members),
            )
        )
        distances.append(abs(mean - truth))
        weights.append(weight.sum())
    return deciles, float(np.average(distances, weights=weights))


def _distribution(rows: Rows, predicted: Floats) -> Distribution:
    kinds = {"all": np.full(len(rows), True)}
    low, high = (0.0, 1.0)
    if rows.kind == "binary":
        kinds = {"positive": rows.labels > 0.5, "negative": rows.labels <= 0.5}
    elif rows.kind == "classes":
        right = rows.candidate.classes == rows.labels
        kinds = {"right": right, "wrong": ~right}
    else:
        low, high = float(predicted.min()), float(predicted.max())
    edges = np.histogram_bin_edges(predicted, _BINS, (low, high))
    shares = {}
    for kind, mask in kinds.items():
        heights, _ = np.histogram(predicted[mask], edges, weights=rows.weights[mask])
        shares[kind] = [float(height) for height in heights / max(heights.sum(), 1e-12)]
    return Distribution(edges=[float(edge) for edge in edges], shares=shares)
