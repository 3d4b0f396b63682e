"""AUC, log loss and calibration of a binary classifier, from one pass over the rows.

TFMA's own three each look up label, prediction and weight of every row in every slice; that was most of what the
Evaluator cost. These share one accumulator, which looks them up once and adds them up in batches.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from tensorflow_model_analysis.metrics import metric_types

from components.evaluation.metrics import combiners
from components.evaluation.metrics import names as metrics
from schema.feature_spec import LABEL

Floats = npt.NDArray[np.float64]

_SUMS = "_pointwise_sums"
_BATCH = 1000
_EPSILON = 1e-7
"""Probabilities are kept so far from 0 and 1, so that a float32 of exactly 0 or 1 has a finite loss."""
_LOGIT_LIMIT = 16.2  # of a probability of _EPSILON
_BUCKETS = 16_384
"""Of equal width in the logit, about 0.002: fine enough for probabilities of any size."""


class Sums:
    """What the metrics are computed from; adds up over rows, batches and workers in bounded memory."""

    def __init__(self) -> None:
        self.weight = self.label = self.prediction = self.loss = 0.0
        self.rows = self.positives = 0
        """Of those that weigh something."""
        self.by_score: Floats = np.zeros((2, _BUCKETS))
        """Weight of the negatives and of the positives by bucket of their logit."""
        self._rows: list[tuple[float, float, float]] = []

    def add(self, label: float, prediction: float, weight: float) -> None:
        """Adds a row."""
        self._rows.append((label, prediction, weight))
        if len(self._rows) >= _BATCH:
            self.compact()

    def compact(self) -> Sums:
        """Adds up the rows that wait for it."""
        if self._rows:
            label, prediction, weight = np.array(self._rows, np.float64).T
            self._rows = []
            self.rows += int((weight > 0).sum())
            self.positives += int(((weight > 0) & (label > 0.5)).sum())
            self.weight += weight.sum()
            self.label += (weight * label).sum()
            self.prediction += (weight * prediction).sum()
            p = np.clip(prediction, _EPSILON, 1 - _EPSILON)
            self.loss -= (weight * (label * np.log(p) + (1 - label) * np.log1p(-p))).sum()
            logit = np.log(p) - np.log1p(-p)
            bucket = ((logit + _LOGIT_LIMIT) * (_BUCKETS / (2 * _LOGIT_LIMIT))).astype(int).clip(0, _BUCKETS - 1)
            for positive in (0, 1):
                share = weight * (label if positive else 1 - label)
                self.by_score[positive] += np.bincount(bucket, share, minlength=_BUCKETS)
        return self

    def merge(self, other: Sums) -> Sums:
        """Takes over what another accumulator has added up."""
        other.compact()
        self.rows += other.rows
        self.positives += other.positives
        self.weight += other.weight
        self.label += other.label
        self.prediction += other.prediction
        self.loss += other.loss
        self.by_score += other.by_score
        return self

    def auc(self) -> float:
        """The probability that a positive row scores above a negative one, ties (of a bucket) counting one half."""
        negatives, positives = self.by_score
        below = np.cumsum(negatives) - negatives / 2
        return _ratio(float((positives * below).sum()), float(negatives.sum() * positives.sum()))

    def logloss(self) -> float:
        """The mean of -y ln p - (1 - y) ln (1 - p)."""
        return _ratio(self.loss, self.weight)

    def calibration(self) -> float:
        """The mean prediction over the mean label."""
        return _ratio(self.prediction, self.label)

    def result(self, name: str) -> float:
        """AUC, log loss or calibration, by name; or how many rows, or positive ones, weigh something."""
        match name:
            case metrics.COUNTED_ROWS:
                return self.rows
            case metrics.COUNTED_POSITIVES:
                return self.positives
        return {"auc": self.auc, "logloss": self.logloss, "calibration": self.calibration}[name]()


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else float("nan")


def _computations(
    name: str,
    other: str = "",
    eval_config: Any = None,
    model_names: Iterable[str] | None = None,
    example_weighted: bool = False,
) -> list[Any]:
    del eval_config  # TFMA hands it over by name
    label = f"{LABEL}_{other}" if other else None
    combiner = functools.partial(
        combiners.PointwiseCombiner, sums=Sums, answer=f"probability_{other}" if other else "probability", label=label
    )
    return combiners.computations(
        f"{other}.{name}" if other else name, _SUMS + other, combiner, model_names, example_weighted, label
    )


# The names of these classes differ from those of TFMA's own metrics, which TFMA would take instead. `other` is the name
# of another label than the first one.


class PointwiseRows(metric_types.Metric):  # type: ignore[misc]
    """How many rows weigh something."""

    def __init__(self, name: str = metrics.COUNTED_ROWS) -> None:
        super().__init__(_computations, name=name)


class PointwisePositives(metric_types.Metric):  # type: ignore[misc]
    """How many of these are positive."""

    def __init__(self, name: str = metrics.COUNTED_POSITIVES) -> None:
        super().__init__(_computations, name=name)


class PointwiseAUC(metric_types.Metric):  # type: ignore[misc]
    """Area under the ROC curve, see `Sums.auc`. Differs from the exact one by ties within buckets of the logit."""

    def __init__(self, name: str = "auc", other: str = "") -> None:
        super().__init__(_computations, name=name, other=other)


class PointwiseLogLoss(metric_types.Metric):  # type: ignore[misc]
    """Mean binary cross entropy, see `Sums.logloss`."""

    def __init__(self, name: str = "logloss", other: str = "") -> None:
        super().__init__(_computations, name=name, other=other)


class PointwiseCalibration(metric_types.Metric):  # type: ignore[misc]
    """Mean prediction over mean label, see `Sums.calibration`; 1 is right."""

    def __init__(self, name: str = "calibration", other: str = "") -> None:
        super().__init__(_computations, name=name, other=other)
