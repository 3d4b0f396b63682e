"""How a metric of single rows is computed: of all rows from sums, and in each replicate of a bootstrap from weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from components.evaluation.answers import Answers, Floats

Measure = Callable[[Floats], Floats]
"""Weights of the rows in each replicate, [replicates, rows] -> the metric's value in each; NaN where it has none."""
OfRows = Callable[[Floats, Answers], Floats]
"""Labels and answers, [rows] -> a number for each row, [rows]."""


class Formula(Protocol):
    """A metric of rows that need not be in memory together."""

    def sums(self, labels: Floats, answers: Answers, weights: Floats) -> Any:
        """What the value is computed from; that of two parts of the rows add up by `+` to that of both.

        Args:
            labels: [rows].
            answers: to the rows, of which there may be none.
            weights: [rows].
        """

    def value(self, sums: Any) -> float:
        """The metric; NaN where it has no value."""

    def measure(self, labels: Floats, answers: Answers) -> Measure:
        """The metric of rows that are resampled."""


def one(labels: Floats, answers: Answers) -> Floats:
    """1 for each row: a ratio to it is a mean."""
    return np.ones(len(labels))


@dataclass(frozen=True)
class Ratio:
    """Σ w·above / Σ w·below over the rows, with their weights w: by default the mean of `above`.

    Attributes:
        above: of each row.
        below: of each row; 0 or more.
        then: what is done to the ratio, such as `np.sqrt`.
    """

    above: OfRows
    below: OfRows = one
    then: Callable[[Floats], Floats] = np.asarray

    def sums(self, labels: Floats, answers: Answers, weights: Floats) -> Floats:
        """[2], those above and below."""
        return self._both(labels, answers) @ weights

    def value(self, sums: Floats) -> float:
        """See the class."""
        above, below = sums[:, np.newaxis]
        return float(self.then(divided(above, below))[0])

    def measure(self, labels: Floats, answers: Answers) -> Measure:
        """See the class."""
        both = self._both(labels, answers)
        return lambda weights: self.then(divided(*(both @ weights.T)))

    def _both(self, labels: Floats, answers: Answers) -> Floats:
        return np.stack([self.above(labels, answers), self.below(labels, answers)])


def divided(above: Floats, below: Floats) -> Floats:
    """Of each pair the ratio, NaN where there is nothing to divide by."""
    result: Floats = np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)
    return result
