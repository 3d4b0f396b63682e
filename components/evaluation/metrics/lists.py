"""The metrics of the order of items within each user's (or query's) list."""

from __future__ import annotations

import math

import numpy as np

from components.evaluation.answers import Floats
from components.evaluation.metrics.binary import exact_auc
from components.evaluation.metrics.registry import ListMetric, register

_LENGTH = 10


def list_auc(labels: Floats, scores: Floats) -> float:
    """AUC_g of a group's list; ties count one half. NaN with one class only, or if a score is NaN.

    GAUC = Σ_g n_g · AUC_g / Σ_g n_g over the groups g that have positive and negative examples (Zhou et al., Deep
    Interest Network for Click-Through Rate Prediction, equation 7). Unlike AUC over all rows, it improves only if a
    user's items are ordered better, not if active users are told from others. With example weights, n_g is their sum.

    Args:
        labels: [n], the labels, 0 or 1.
        scores: [n], the scores.
    """
    if np.isnan(scores).any():
        return math.nan
    return float(exact_auc(labels, scores)(np.ones((1, len(labels))))[0])


def list_ndcg(labels: Floats, scores: Floats, length: int = _LENGTH) -> float:
    """NDCG@length of a group's list; NaN without a positive example. Rows of equal score share their ranks.

    DCG@10 = Σ_{i ≤ 10} y_i / log₂(i + 1), with the label y_i of the row at rank i, is divided by the DCG of the best
    order (Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, 2002). With example weights, a
    group's weight is the mean of its rows' weights. Unlike in TFMA's NDCG, a group's rows may differ in weight.

    Args:
        labels: [n], the labels, 0 or 1.
        scores: [n], the scores.
        length: the number of first ranks that count.
    """
    n_positive = int((labels > 0.5).sum())
    if not n_positive:
        return math.nan
    ranks = np.arange(1, len(labels) + 1)
    discounts = np.cumsum(np.where(ranks <= length, 1 / np.log2(ranks + 1), 0))
    # Rows of equal score get the mean of the discounts at their ranks, as on average over random orders of them.
    _, place, count = np.unique(-scores, return_inverse=True, return_counts=True)
    gains = np.bincount(place, labels) / count
    dcg = gains @ np.diff(discounts[np.cumsum(count) - 1], prepend=0)
    return float(dcg / discounts[n_positive - 1])


register(
    ListMetric(
        name="gauc",
        better="higher",
        within=(0.0, 1.0),
        meaning="AUC within a {group}'s own rows",
        needs="a {group} with rows of both classes",
        of_list=list_auc,
        by_rows=True,
    )
)
register(
    ListMetric(
        name="ndcg@10",
        better="higher",
        within=(0.0, 1.0),
        meaning="order of the first ten of each {group}; 1 is ideal",
        needs="a {group} with a positive row",
        of_list=list_ndcg,
        by_rows=False,
    )
)
