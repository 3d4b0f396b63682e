"""The metrics of a label of many classes."""

from __future__ import annotations

import math

import numpy as np

from components.evaluation.answers import Answers, Floats
from components.evaluation.metrics.formulas import Ratio
from components.evaluation.metrics.registry import RowMetric, register

_EPSILON = 1e-7
"""The smallest probability; smaller ones are raised to it, so that a float32 of exactly 0 has a finite loss."""


def losses(labels: Floats, answers: Answers) -> Floats:
    """The cross entropy of each row, -ln P(class), [rows]."""
    return -np.log(np.maximum(answers.values, _EPSILON))


def _right(labels: Floats, answers: Answers) -> Floats:
    return np.equal(answers.classes, labels).astype(np.float64)


register(
    RowMetric(
        name="accuracy",
        label="classes",
        better="higher",
        within=(0.0, 1.0),
        meaning="the likeliest class is the right one",
        needs="a row",
        bounds={"max_drop": 0.01},
        formula=Ratio(_right),
    )
)
register(
    RowMetric(
        name="cross_entropy",
        label="classes",
        better="lower",
        within=(0.0, math.inf),
        meaning="the mean of -ln P(class); lower is better",
        needs="a row",
        bounds={"max_drop": 0.02},
        formula=Ratio(losses),
    )
)
