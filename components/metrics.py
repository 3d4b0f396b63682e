"""The metrics that models are judged by. Apart from their computation, so that listing runs needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

METRICS: Mapping[str, Literal["higher", "lower", "neither"]] = {
    "auc": "higher",
    "logloss": "lower",
    "calibration": "neither",
    "gauc": "higher",
    "ndcg@10": "higher",
}
"""In the order in which they are shown, with the direction that is better. Calibration, the mean prediction over the
mean label, should be 1."""

METRICS_PROPERTY = "metrics"
"""Custom property of an evaluation artifact, as JSON: metric name -> value over the whole test split."""
REFUSALS_PROPERTY = "refusals"
"""Custom property of an evaluation artifact, as JSON: why the model was not blessed, a line each;
empty for a blessed one."""
