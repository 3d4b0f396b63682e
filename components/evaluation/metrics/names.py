"""The metrics that models are judged by. Apart from their computation, so that listing runs needs no TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

METRICS: Mapping[str, Literal["higher", "lower", "neither"]] = {
    "auc": "higher",
    "logloss": "lower",
    "calibration": "neither",
    "gauc": "higher",
    "ndcg@10": "higher",
    "accuracy": "higher",
    "cross_entropy": "lower",
    "rmse": "lower",
    "mae": "lower",
    "r2": "higher",
}
"""In the order in which they are shown, with the direction that is better. Calibration, the mean prediction over the
mean label, should be 1."""

RANGES: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys(("auc", "gauc", "ndcg@10", "accuracy"), (0.0, 1.0)),
    **dict.fromkeys(("logloss", "calibration", "cross_entropy", "rmse", "mae"), (0.0, math.inf)),
    "r2": (-math.inf, 1.0),
}
"""Between which values they are in any case."""

OF_LABEL: Mapping[str, Sequence[str]] = {
    "binary": ("auc", "logloss", "calibration"),
    "classes": ("accuracy", "cross_entropy"),
    "number": ("rmse", "mae", "r2"),
}
"""Kind of a label -> its metrics."""
OF_RANKING = ("gauc", "ndcg@10")
"""Of lists of rows whose label is binary."""

MEANINGS: Mapping[str, str] = {
    "auc": "a positive row scores above a negative one",
    "logloss": "the mean loss; lower is better",
    "calibration": "mean prediction / mean label; 1 is right",
    "gauc": "AUC within a {group}'s own rows",
    "accuracy": "the likeliest class is the right one",
    "cross_entropy": "the mean of -ln P(class); lower is better",
    "rmse": "root of the mean squared error",
    "mae": "mean absolute error",
    "r2": "1 is perfect, 0 as good as the mean",
    "ndcg@10": "order of the first ten of each {group}; 1 is ideal",
}
"""What they are, for people. `{group}` stands for the column of the ranking's groups."""

NEEDS: Mapping[str, str] = {
    "auc": "rows of both classes",
    "logloss": "a row",
    "calibration": "a positive row",
    "gauc": "a {group} with rows of both classes",
    "ndcg@10": "a {group} with a positive row",
    "accuracy": "a row",
    "cross_entropy": "a row",
    "rmse": "a row",
    "mae": "a row",
    "r2": "rows whose labels differ",
}
"""Without what, of a weight above 0, a metric has no value, for people as in `MEANINGS`."""

COUNTED_ROWS, COUNTED_POSITIVES = "counted_rows", "counted_positives"
"""What is counted along with the metrics: the rows of a weight above 0, and those of them whose label is positive."""

METRICS_PROPERTY = "metrics"
"""Custom property of an evaluation artifact, as JSON: metric name -> value over the whole test split, of those that
have one. Those of another label than the first have its name in front, as in `bought.auc`."""
REFUSALS_PROPERTY = "refusals"
"""Custom property of an evaluation, an infra blessing or a report, as JSON: why the model was refused, a line each;
empty for a good one."""
