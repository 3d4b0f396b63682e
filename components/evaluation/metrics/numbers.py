"""Errors of a predicted number, from one pass over the rows."""

from __future__ import annotations

import math
import operator

from tensorflow_model_analysis.metrics import metric_types

from components.evaluation.metrics import combiners
from components.evaluation.metrics import names as metrics

_SUMS = "_number_sums"


class Sums:
    """What the metrics are computed from; adds up over rows and workers."""

    def __init__(self) -> None:
        self.rows = 0
        """Of those that weigh something."""
        self.lowest, self.highest = math.inf, -math.inf
        """Of their labels, since a sum of squares does not tell for sure whether all are the same."""
        self.weight = self.label = self.square = self.error = self.square_error = 0.0

    def add(self, label: float, prediction: float, weight: float) -> None:
        """Adds a row."""
        if weight > 0:
            self.rows += 1
            self.lowest, self.highest = min(self.lowest, label), max(self.highest, label)
        self.weight += weight
        self.label += weight * label
        self.square += weight * label**2
        self.error += weight * abs(prediction - label)
        self.square_error += weight * (prediction - label) ** 2

    def merge(self, other: Sums) -> Sums:
        """Takes over what another accumulator has added up."""
        for name, value in vars(other).items():
            joined = {"lowest": min, "highest": max}.get(name, operator.add)
            setattr(self, name, joined(getattr(self, name), value))
        return self

    def compact(self) -> Sums:
        """Nothing waits."""
        return self

    def rmse(self) -> float:
        """The root of the mean squared error, in the label's unit."""
        return math.sqrt(self.square_error / self.weight)

    def mae(self) -> float:
        """The mean absolute error, in the label's unit."""
        return self.error / self.weight

    def r2(self) -> float:
        """1 - squared error / squared deviation from the mean: 1 is perfect, 0 as good as always saying the mean."""
        deviation = self.square - self.label**2 / self.weight
        return 1 - self.square_error / deviation if self.lowest < self.highest and deviation > 0 else math.nan

    def result(self, name: str) -> float:
        """Any of these, by name; NaN without rows. Or how many rows weigh something."""
        if name == metrics.COUNTED_ROWS:
            return self.rows
        return {"rmse": self.rmse, "mae": self.mae, "r2": self.r2}[name]() if self.weight else math.nan


_computations = combiners.pointwise(_SUMS, Sums, "prediction")


class NumberRows(metric_types.Metric):  # type: ignore[misc]
    """See `Sums.result`."""

    def __init__(self, name: str = metrics.COUNTED_ROWS) -> None:
        super().__init__(_computations, name=name)


class NumberRMSE(metric_types.Metric):  # type: ignore[misc]
    """See `Sums.rmse`."""

    def __init__(self, name: str = "rmse") -> None:
        super().__init__(_computations, name=name)


class NumberMAE(metric_types.Metric):  # type: ignore[misc]
    """See `Sums.mae`."""

    def __init__(self, name: str = "mae") -> None:
        super().__init__(_computations, name=name)


class NumberR2(metric_types.Metric):  # type: ignore[misc]
    """See `Sums.r2`."""

    def __init__(self, name: str = "r2") -> None:
        super().__init__(_computations, name=name)
