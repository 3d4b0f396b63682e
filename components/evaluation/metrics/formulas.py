"""Formulas of metrics of single rows: from sums over all rows, and from weights for each replicate of a bootstrap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from components.evaluation.answers import Answers, Floats

Measure = Callable[[Floats], Floats]
"""A function from the rows' weights, [replicates, rows], to the metric's values, [replicates]; NaN without a value."""
OfRows = Callable[[Floats, Answers], Floats]
"""A function from labels and answers, [rows] each, to a number for each row, [rows]."""


class Formula(Protocol):
    """The formula of a metric whose rows need not be in memory together."""

    def sums(self, labels: Floats, answers: Answers, weights: Floats) -> Any:
        """The sums that the value is computed from. The sums of two parts of the rows add up by `+`.

        Args:
            labels: [rows], the labels; there may be no rows.
            answers: the model's answers to the rows.
            weights: [rows], the example weights.
        """

    def value(self, sums: Any) -> float:
        """The metric; NaN if it has no value."""

    def measure(self, labels: Floats, answers: Answers) -> Measure:
        """The metric of resampled rows."""


def one(labels: Floats, answers: Answers) -> Floats:
    """1 for each row, [rows], so that a ratio to it is a mean."""
    return np.ones(len(labels))


@dataclass(frozen=True)
class Ratio:
    """Σ w·above / Σ w·below over the rows, with their weights w; by default the mean of `above`.

    Attributes:
        above: the numerator of each row.
        below: the denominator of each row, at least 0.
        then: a function that is applied to the ratio, such as `np.sqrt`.
    """

    above: OfRows
    below: OfRows = one
    then: Callable[[Floats], Floats] = np.asarray

    def sums(self, labels: Floats, answers: Answers, weights: Floats) -> Floats:
        """The sums of numerators and of denominators, [2]."""
        return self._both(labels, answers) @ weights

    def value(self, sums: Floats) -> float:
        """The ratio; NaN if the denominators add up to 0."""
        above, below = sums[:, np.newaxis]
        return float(self.then(divided(above, below))[0])

    def measure(self, labels: Floats, answers: Answers) -> Measure:
        """The ratio of resampled rows."""
        both = self._both(labels, answers)
        return lambda weights: self.then(divided(*(both @ weights.T)))

    def _both(self, labels: Floats, answers: Answers) -> Floats:
        return np.stack([self.above(labels, answers), self.below(labels, answers)])


def divided(above: Floats, below: Floats) -> Floats:
    """The ratio of each pair; NaN if the denominator is 0."""
    result: Floats = np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)
    return result
