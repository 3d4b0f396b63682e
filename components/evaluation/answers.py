"""What a model said of rows, as metrics take it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """What a model said of each row.

    Attributes:
        values: [rows], the probability of a positive label; of the right one of many classes; the predicted number.
        classes: [rows], of a label of many classes, the place of the likeliest one; else empty.
        confidences: [rows], its probability; else empty.
    """

    values: Floats
    classes: Ints
    confidences: Floats

    @classmethod
    def of_values(cls, values: Floats) -> Answers:
        """Probabilities of a positive label, or numbers, [rows]."""
        return cls(values, np.zeros(0, np.int64), np.zeros(0))

    def __getitem__(self, rows: Any) -> Answers:
        if not len(self.classes):
            return replace(self, values=self.values[rows])
        return Answers(self.values[rows], self.classes[rows], self.confidences[rows])
