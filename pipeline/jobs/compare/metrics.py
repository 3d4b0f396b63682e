"""Metrics of a model's scores: over all test rows, over some of them, and over lists."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from components.evaluation.answers import Answers, Floats, Ints
from components.evaluation.bootstrap import once
from components.evaluation.metrics.registry import find, names
from schema.errors import SpecError
from schema.feature_spec import FeatureSpec


def check_two_classes(spec: FeatureSpec, asked_by: str, advice: str = "") -> None:
    """Checks that a dataset has the labels that `JudgedRows` takes.

    Args:
        spec: the spec of the dataset.
        asked_by: the command that needs the label, for the error.
        advice: an alternative, for the error.

    Raises:
        SpecError: the label does not have two classes.
    """
    if spec.label.kind != "binary":
        received = "a number" if spec.label.number else "one of many"
        raise SpecError(f"{asked_by}: expected a label of two classes, received {received}{advice}")


@dataclass(frozen=True)
class JudgedRows:
    """The rows that scores are judged on.

    Attributes:
        labels: the labels, [rows], 0 or 1.
        weights: the weights, [rows].
        groups: the codes of the ranking's groups, [rows]; None without a ranking.
    """

    labels: Floats
    weights: Floats
    groups: Ints | None

    def metrics(self, logits: Floats) -> dict[str, float]:
        """The metrics of the dataset's kind, by name; NaN for a metric without a value.

        They equal the Evaluator's, except for its AUC, which rounds logits to 0.002.
        """
        answers = Answers.of_values(special.expit(logits))
        return {
            name: once(find(name).measure(self.labels, answers, self.groups), self.weights)
            for name in names("binary", ranked=self.groups is not None)
        }


def coverage(lists: Sequence[Ints], items: int) -> float:
    """The share of all items that at least one of the lists shows (Ge et al., Beyond Accuracy, 2010, section 2.1)."""
    return len(np.unique(np.concatenate(lists))) / items


def novelty(lists: Sequence[Ints], shown: Ints) -> float:
    """Mean of -log₂ p(i) over the lists' items, in bits; p(i) is an item's share of the training rows (Zhou et al.,
    Solving the apparent diversity-accuracy dilemma, 2010, self-information). Unseen items count as seen once.

    Args:
        lists: the lists, as indices of items.
        shown: the number of training rows with each item, [items].
    """
    share = np.maximum(shown, 1) / max(1, shown.sum())
    return float(-np.log2(share[np.concatenate(lists)]).mean())


def paired_p(first: Sequence[float], other: Sequence[float]) -> float:
    """The two-sided p-value of a paired t-test over seeds; NaN for fewer than two, 0 or 1 if all differences are equal.

    Args:
        first: the values of a metric of one model, one per seed.
        other: those of another model, in the same order.
    """
    differences = np.subtract(other, first)
    if len(differences) < 2:
        return math.nan
    if np.ptp(differences) == 0:
        return float(differences[0] == 0)
    return float(stats.ttest_rel(other, first).pvalue)


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """The mean and the sample standard deviation, which is NaN for a single value."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
