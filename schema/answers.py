"""What a model answers about a row, by the kind of the label: the names of the outputs of its signatures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

LabelKind = Literal["binary", "classes", "number"]
"""A label of two classes, of many classes, or a number."""

PROBABILITY, LOGIT = "probability", "logit"
"""The probability that a label of two classes is positive, and its logit."""
PROBABILITIES, EXPECTED = "probabilities", "expected"
"""The probability of each of many classes, and the mean class where classes are numbers."""
PREDICTION = "prediction"
"""The predicted number."""

JUDGED_BY: Mapping[LabelKind, str] = {"binary": PROBABILITY, "classes": PROBABILITIES, "number": PREDICTION}
"""The answer that metrics are about."""
RANKED_BY: Mapping[LabelKind, str] = {"binary": PROBABILITY, "classes": EXPECTED, "number": PREDICTION}
"""The answer that candidates are ranked by."""


def of_other_label(name: str) -> str:
    """The probability that a label other than the first one is positive."""
    return f"{PROBABILITY}_{name}"
