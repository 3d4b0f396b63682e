"""The metrics that models are judged by. Apart from their computation, so that listing runs needs no TensorFlow."""

from __future__ import annotations

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

OF_LABEL: Mapping[str, Sequence[str]] = {
    "binary": ("auc", "logloss", "calibration"),
    "classes": ("accuracy", "cross_entropy"),
    "number": ("rmse", "mae", "r2"),
}
"""Kind of a label -> its metrics."""
OF_RANKING = ("gauc", "ndcg@10")
"""Of lists of rows whose label is binary."""

METRICS_PROPERTY = "metrics"
"""Custom property of an evaluation artifact, as JSON: metric name -> value over the whole test split. Those of another
label than the first have its name in front, as in `bought.auc`."""
REFUSALS_PROPERTY = "refusals"
"""Custom property of an evaluation artifact, as JSON: why the model was not blessed, a line each;
empty for a blessed one."""
