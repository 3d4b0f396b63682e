"""What a model's scores are worth: over all test rows, over some of them, and as lists."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import sklearn.metrics  # type: ignore[import-untyped]
from scipy import special, stats

from components.evaluation.metrics import lists as group_metrics
from schema.errors import SpecError
from schema.feature_spec import FeatureSpec

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def check_two_classes(spec: FeatureSpec, asked_by: str, advice: str = "") -> None:
    """Checks that a dataset has the labels that `JudgedRows` takes.

    Args:
        spec: of the dataset.
        asked_by: what judges, for the error.
        advice: what to do instead, for the error.

    Raises:
        SpecError: the label has not two classes.
    """
    if spec.label.kind != "binary":
        received = "a number" if spec.label.number else "one of many"
        raise SpecError(f"{asked_by}: expected a label of two classes, received {received}{advice}")


@dataclass(frozen=True)
class JudgedRows:
    """The rows that scores are judged on.

    Attributes:
        labels: [rows], 0 or 1.
        weights: [rows].
        groups: [rows], codes of the ranking's groups; None without a ranking.
    """

    labels: Floats
    weights: Floats
    groups: Ints | None

    def metrics(self, logits: Floats) -> dict[str, float]:
        """The metrics that the dataset can have, by name; NaN where one has no value.

        The same as the Evaluator's, but for its AUC, which rounds logits to 0.002.
        """
        probability = special.expit(logits)
        losses = np.logaddexp(0, np.where(self.labels > 0.5, -logits, logits))
        found = {
            "auc": auc(self.labels, logits, self.weights),
            "logloss": _ratio(losses, np.ones_like(losses), self.weights),
            "calibration": _ratio(probability, self.labels, self.weights),
        }
        if self.groups is not None:
            sums = group_metrics.Sums()
            order = np.argsort(self.groups, kind="stable")
            for rows in np.split(order, np.flatnonzero(np.diff(self.groups[order])) + 1):
                sums.add(self.labels[rows], logits[rows], self.weights[rows])
            found |= {name: sums.result(name) for name in (group_metrics.GAUC, group_metrics.NDCG)}
        return found


def auc(labels: Floats, scores: Floats, weights: Floats) -> float:
    """Area under the ROC curve; NaN where all labels that weigh something are the same."""
    if len(np.unique(labels[weights > 0])) < 2:
        return math.nan
    return float(sklearn.metrics.roc_auc_score(labels, scores, sample_weight=weights))


def _ratio(above: Floats, below: Floats, weights: Floats) -> float:
    """Of two means over rows; NaN where the second is 0."""
    total = float(weights @ below)
    return float(weights @ above) / total if total else math.nan


def coverage(lists: Sequence[Ints], items: int) -> float:
    """The share of all items that at least one of the lists shows (Ge et al., Beyond Accuracy, 2010, section 2.1)."""
    return len(np.unique(np.concatenate(lists))) / items


def novelty(lists: Sequence[Ints], shown: Ints) -> float:
    """Mean of -log₂ p(i) over the lists' items, in bits; p(i) is an item's share of the training rows (Zhou et al.,
    Solving the apparent diversity-accuracy dilemma, 2010, self-information). Unseen items count as seen once.

    Args:
        lists: rows of items.
        shown: [items], how often each was in a training row.
    """
    share = np.maximum(shown, 1) / max(1, shown.sum())
    return float(-np.log2(share[np.concatenate(lists)]).mean())


def paired_p(first: Sequence[float], other: Sequence[float]) -> float:
    """The two-sided p-value of a paired t-test over seeds; NaN for fewer than two, 0 or 1 where all pairs differ alike.

    Args:
        first: a metric of one model, a value per seed.
        other: of another, in the same order.
    """
    differences = np.subtract(other, first)
    if len(differences) < 2:
        return math.nan
    if np.ptp(differences) == 0:
        return float(differences[0] == 0)
    return float(stats.ttest_rel(other, first).pvalue)


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation; NaN for the latter with one value."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
