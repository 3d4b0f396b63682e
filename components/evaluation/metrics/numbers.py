"""The metrics of a number: errors of its prediction."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from components.evaluation.answers import Answers, Floats
from components.evaluation.metrics.formulas import Measure, Ratio, divided
from components.evaluation.metrics.registry import RowMetric, register

_ROUNDING = 1e-12
"""The relative rounding error of a sum of squares."""


def square_errors(labels: Floats, answers: Answers) -> Floats:
    """The squared error of each row, (prediction - y)², [rows]."""
    return np.square(answers.values - labels)


def _absolute_errors(labels: Floats, answers: Answers) -> Floats:
    return np.abs(answers.values - labels)


@dataclass(frozen=True)
class R2Sums:
    """The weighted sums over rows that R² is computed from.

    Attributes:
        weight: the sum of the weights.
        label: the weighted sum of the labels.
        square: the weighted sum of the squared labels.
        error: the weighted sum of the squared errors.
        lowest: the lowest label with a weight above 0. If it equals `highest`, all labels are equal, which the rounded
            sums cannot show.
        highest: the highest label with a weight above 0.
    """

    weight: float
    label: float
    square: float
    error: float
    lowest: float
    highest: float

    def __add__(self, other: R2Sums) -> R2Sums:
        return R2Sums(
            self.weight + other.weight,
            self.label + other.label,
            self.square + other.square,
            self.error + other.error,
            min(self.lowest, other.lowest),
            max(self.highest, other.highest),
        )


class R2:
    """1 - squared error / squared deviation from the mean: 1 is perfect, 0 as good as predicting the mean."""

    def sums(self, labels: Floats, answers: Answers, weights: Floats) -> R2Sums:
        """The sums over the rows."""
        weighing = labels[weights > 0]
        return R2Sums(
            weight=float(weights.sum()),
            label=float(weights @ labels),
            square=float(weights @ np.square(labels)),
            error=float(weights @ square_errors(labels, answers)),
            lowest=float(weighing.min(initial=math.inf)),
            highest=float(weighing.max(initial=-math.inf)),
        )

    def value(self, sums: R2Sums) -> float:
        """R²; NaN if all labels are equal."""
        if not sums.lowest < sums.highest:
            return math.nan
        deviation = sums.square - sums.label**2 / sums.weight
        return 1 - sums.error / deviation if deviation > 0 else math.nan

    def measure(self, labels: Floats, answers: Answers) -> Measure:
        """R² of resampled rows."""
        squares = square_errors(labels, answers)
        # Labels count from the lowest, so that equal labels deviate by exactly 0.
        labels = labels - labels.min(initial=np.inf)

        def measure(weights: Floats) -> Floats:
            square = weights @ np.square(labels)
            deviation = square - divided(np.square(weights @ labels), weights.sum(axis=1))
            return 1 - divided(weights @ squares, np.where(deviation > _ROUNDING * square, deviation, 0))

        return measure


register(
    RowMetric(
        name="rmse",
        label="number",
        better="lower",
        within=(0.0, math.inf),
        meaning="root of the mean squared error",
        needs="a row",
        formula=Ratio(square_errors, then=np.sqrt),
    )
)
register(
    RowMetric(
        name="mae",
        label="number",
        better="lower",
        within=(0.0, math.inf),
        meaning="mean absolute error",
        needs="a row",
        formula=Ratio(_absolute_errors),
    )
)
# A model that is no better than the mean is broken.
register(
    RowMetric(
        name="r2",
        label="number",
        better="higher",
        within=(-math.inf, 1.0),
        meaning="1 is perfect, 0 as good as the mean",
        needs="rows whose labels differ",
        bounds={"min": 0.0, "max_drop": 0.02},
        formula=R2(),
    )
)
