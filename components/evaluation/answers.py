"""A model's answers to rows, in the form that metrics read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """A model's answer to each row.

    Attributes:
        values: [rows], the probability of a positive label, the probability of the right one of many classes, or the
            predicted number.
        classes: [rows], the index of the likeliest of many classes; empty for other labels.
        confidences: [rows], the probability of that class; empty for other labels.
    """

    values: Floats
    classes: Ints
    confidences: Floats

    @classmethod
    def of_values(cls, values: Floats) -> Answers:
        """Answers of probabilities of a positive label, or of numbers, [rows]."""
        return cls(values, np.zeros(0, np.int64), np.zeros(0))

    def __getitem__(self, rows: Any) -> Answers:
        if not len(self.classes):
            return replace(self, values=self.values[rows])
        return Answers(self.values[rows], self.classes[rows], self.confidences[rows])
