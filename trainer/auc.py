"""The exact area under the ROC curve, for rows in memory."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]

Floats = npt.NDArray[np.float64]


def auc(labels: Floats, scores: Floats, weights: Floats | None = None) -> float:
    """The probability that a positive row scores above a negative one; ties count one half.

    NaN if no positive or no negative row has a weight above 0.

    Args:
        labels: [rows], the labels, 0 or 1.
        scores: [rows], the scores, finite.
        weights: [rows], the weights; by default all are equal.
    """
    weighing = labels if weights is None else labels[weights > 0]
    if len(np.unique(weighing)) < 2:
        return math.nan
    return float(roc_auc_score(labels, scores, sample_weight=weights))
