"""The metrics of a label that is a number: errors of its prediction."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from components.evaluation.answers import Answers, Floats
from components.evaluation.metrics.formulas import Measure, Ratio, divided
from components.evaluation.metrics.registry import RowMetric, register

_ROUNDING = 1e-12
"""Of a sum of squares, such a share may be an error."""


def square_errors(labels: Floats, answers: Answers) -> Floats:
    """(prediction - y)² of each row."""
    return np.square(answers.values - labels)


def _absolute_errors(labels: Floats, answers: Answers) -> Floats:
    return np.abs(answers.values - labels)


@dataclass(frozen=True)
class R2Sums:
    """What R² is computed from: weighted sums over rows.

    Attributes:
        weight: of the weights themselves.
        label: of labels.
        square: of their squares.
        error: of squared errors.
        lowest: of all labels that weigh something, since a sum of squares does not tell for sure whether all are the
            same.
        highest: of these.
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
    """1 - squared error / squared deviation from the mean: 1 is perfect, 0 as good as always saying the mean."""

    def sums(self, labels: Floats, answers: Answers, weights: Floats) -> R2Sums:
        """See `R2Sums`."""
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
        """See the class."""
        if not sums.lowest < sums.highest:
            return math.nan
        deviation = sums.square - sums.label**2 / sums.weight
        return 1 - sums.error / deviation if deviation > 0 else math.nan

    def measure(self, labels: Floats, answers: Answers) -> Measure:
        """See the class."""
        squares = square_errors(labels, answers)
        # From the lowest label on, so that labels that are all the same deviate by exactly 0.
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
