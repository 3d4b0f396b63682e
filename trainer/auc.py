"""The exact area under the ROC curve of rows that are in memory."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]

Floats = npt.NDArray[np.float64]


def auc(labels: Floats, scores: Floats, weights: Floats | None = None) -> float:
    """The probability that a positive row scores above a negative one, ties counting one half.

    NaN where no positive or no negative row weighs something.

    Args:
        labels: [rows], 0 or 1.
        scores: [rows], finite.
        weights: [rows]; without them, all rows weigh the same.
    """
    weighing = labels if weights is None else labels[weights > 0]
    if len(np.unique(weighing)) < 2:
        return math.nan
    return float(roc_auc_score(labels, scores, sample_weight=weights))
