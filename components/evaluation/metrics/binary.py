"""The metrics of a label of two classes."""

from __future__ import annotations

import math

import numpy as np

from components.evaluation.answers import Answers, Floats
from components.evaluation.metrics.formulas import Measure, Ratio, divided
from components.evaluation.metrics.registry import RowMetric, register

_EPSILON = 1e-7
"""The smallest distance of probabilities to 0 and 1, so that a float32 of exactly 0 or 1 has a finite loss."""
_LOGIT_LIMIT = 16.2  # just above the logit of 1 - _EPSILON
_BUCKETS = 16_384
"""The number of buckets of equal width in the logit, about 0.002: fine enough for probabilities of any size."""


class AUC:
    """P(a positive row scores above a negative one); ties count one half.

    Over all rows, it is computed from a histogram of logits, and differs from the exact AUC by ties within buckets.
    """

    def sums(self, labels: Floats, answers: Answers, weights: Floats) -> Floats:
        """The weights of negative and of positive rows by bucket of their logit, [2, buckets]."""
        p = _clipped(answers)
        logit = np.log(p) - np.log1p(-p)
        bucket = ((logit + _LOGIT_LIMIT) * (_BUCKETS / (2 * _LOGIT_LIMIT))).astype(int).clip(0, _BUCKETS - 1)
        shares = (weights * (1 - labels), weights * labels)
        return np.stack([np.bincount(bucket, share, minlength=_BUCKETS) for share in shares])

    def value(self, sums: Floats) -> float:
        """The AUC of the histogram; NaN unless there are rows of both classes."""
        negatives, positives = sums[:, np.newaxis]
        return float(_won(positives, negatives)[0])

    def measure(self, labels: Floats, answers: Answers) -> Measure:
        """The exact AUC of resampled rows."""
        return exact_auc(labels, answers.values)


def exact_auc(labels: Floats, scores: Floats) -> Measure:
    """The exact AUC of resampled rows.

    Args:
        labels: [rows], the labels, 0 or 1.
        scores: [rows], the scores.
    """
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf)) if len(scores) else np.zeros(0, int)
    positive = labels[order] > 0.5

    def measure(weights: Floats) -> Floats:
        if not len(starts):
            return np.full(len(weights), np.nan)
        ordered = weights[:, order]
        positives = np.add.reduceat(ordered * positive, starts, axis=1)
        negatives = np.add.reduceat(ordered * ~positive, starts, axis=1)
        return _won(positives, negatives)

    return measure


def _won(positives: Floats, negatives: Floats) -> Floats:
    """The share of pairs in order, [replicates], from the weights by rising score, [replicates, scores] each."""
    below = np.cumsum(negatives, axis=1) - negatives / 2
    pairs = positives.sum(axis=1) * negatives.sum(axis=1)
    return divided((positives * below).sum(axis=1), pairs)


def losses(labels: Floats, answers: Answers) -> Floats:
    """The binary cross entropy of each row, -y ln p - (1 - y) ln (1 - p), [rows]."""
    p = _clipped(answers)
    return -(labels * np.log(p) + (1 - labels) * np.log1p(-p))


def _clipped(answers: Answers) -> Floats:
    return np.clip(answers.values, _EPSILON, 1 - _EPSILON)


def _predicted(labels: Floats, answers: Answers) -> Floats:
    return answers.values


def _observed(labels: Floats, answers: Answers) -> Floats:
    return labels


# A model is broken if its order is hardly better than chance, or its loss above that of predicting 1/2 for all rows.
register(
    RowMetric(
        name="auc",
        label="binary",
        better="higher",
        within=(0.0, 1.0),
        meaning="a positive row scores above a negative one",
        needs="rows of both classes",
        bounds={"min": 0.55, "max_drop": 0.01},
        formula=AUC(),
    )
)
register(
    RowMetric(
        name="logloss",
        label="binary",
        better="lower",
        within=(0.0, math.inf),
        meaning="the mean loss; lower is better",
        needs="a row",
        bounds={"max": 0.6931, "max_drop": 0.02},
        formula=Ratio(losses),
    )
)
register(
    RowMetric(
        name="calibration",
        label="binary",
        better="neither",
        within=(0.0, math.inf),
        meaning="mean prediction / mean label; 1 is right",
        needs="a positive row",
        bounds={"min": 0.7, "max": 1.4},
        formula=Ratio(_predicted, _observed),
    )
)
