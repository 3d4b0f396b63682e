"""How often the right one of many classes is found, and how likely it was said to be, from one pass over the rows."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from tensorflow_model_analysis.metrics import metric_types

from components.evaluation.metrics import combiners
from components.evaluation.metrics import names as metrics

_SUMS = "_class_sums"
_EPSILON = 1e-7
"""A probability of less counts as this, so that a float32 of exactly 0 has a finite loss."""


class Sums:
    """What the metrics are computed from; adds up over rows and workers."""

    def __init__(self) -> None:
        self.rows = 0
        """Of those that weigh something."""
        self.weight = self.right = self.loss = 0.0

    def add(self, label: float, prediction: npt.NDArray[np.float32], weight: float) -> None:
        """Adds a row.

        Args:
            label: the place of its class.
            prediction: [classes], their probabilities.
            weight: of the row.
        """
        place = int(label)
        self.rows += weight > 0
        self.weight += weight
        self.right += weight * (int(np.argmax(prediction)) == place)
        self.loss -= weight * math.log(max(float(prediction[place]), _EPSILON))

    def merge(self, other: Sums) -> Sums:
        """Takes over what another accumulator has added up."""
        self.rows += other.rows
        self.weight += other.weight
        self.right += other.right
        self.loss += other.loss
        return self

    def compact(self) -> Sums:
        """Nothing waits."""
        return self

    def result(self, name: str) -> float:
        """`accuracy`, the share of rows whose likeliest class is the right one; or `cross_entropy`, the mean of
        -ln P(class). NaN without rows. Or how many rows weigh something.
        """
        if name == metrics.COUNTED_ROWS:
            return self.rows
        total = self.right if name == "accuracy" else self.loss
        return total / self.weight if self.weight else math.nan


_computations = combiners.pointwise(_SUMS, Sums, "probabilities")


class ClassRows(metric_types.Metric):  # type: ignore[misc]
    """See `Sums.result`."""

    def __init__(self, name: str = metrics.COUNTED_ROWS) -> None:
        super().__init__(_computations, name=name)


class ClassAccuracy(metric_types.Metric):  # type: ignore[misc]
    """See `Sums.result`."""

    def __init__(self, name: str = "accuracy") -> None:
        super().__init__(_computations, name=name)


class ClassCrossEntropy(metric_types.Metric):  # type: ignore[misc]
    """See `Sums.result`."""

    def __init__(self, name: str = "cross_entropy") -> None:
        super().__init__(_computations, name=name)
