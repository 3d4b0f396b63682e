"""How well items are ordered within each user's (or query's) list: GAUC and NDCG@10, from one pass over the lists."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from scipy import stats
from tensorflow_model_analysis.metrics import metric_types, metric_util

from components.evaluation.metrics import combiners

GAUC, NDCG = "gauc", "ndcg@10"

_SUMS = "_group_sums"
_LENGTH = 10

Floats = npt.NDArray[np.floating[Any]]


class GroupAUC(metric_types.Metric):  # type: ignore[misc]
    """Area under the ROC curve per group, averaged over groups with the number of their impressions as weight.

    GAUC = Σ_g n_g · AUC_g / Σ_g n_g over the groups g that have positive and negative examples (Zhou et al., Deep
    Interest Network for Click-Through Rate Prediction, equation 7). AUC_g is the probability that a positive example
    of the group scores above a negative one, ties counting one half. Unlike AUC over all rows it cannot be raised by
    telling active users from others, only by ordering a user's items. With example weights, n_g is their sum.

    A TFMA metric that needs a `query_key`; NaN where no group has both classes.
    """

    def __init__(self, name: str = GAUC) -> None:
        super().__init__(_computations, name=name)


class GroupNDCG(metric_types.Metric):  # type: ignore[misc]
    """Normalized discounted cumulative gain of the first ten of each group, averaged over groups.

    DCG@10 = Σ_{i ≤ 10} y_i / log₂(i + 1) with the label y_i of the row that is ranked i-th, divided by what the best
    order would give (Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, 2002), over the groups
    that have a positive example. Rows of equal score share their ranks. With example weights, a group weighs the mean
    of its rows'.

    Unlike TFMA's, it can have a threshold, and a group's rows may differ in weight. Needs a `query_key`; NaN where no
    group has a positive example.
    """

    def __init__(self, name: str = NDCG) -> None:
        super().__init__(_computations, name=name)


def group_auc(labels: Floats, scores: Floats) -> float:
    """AUC by the rank sum of the positives (Mann-Whitney U), ties counting one half; NaN with one class only.

    Args:
        labels: [n], 0 or 1.
        scores: [n].
    """
    positive = labels > 0.5
    n_positive = int(positive.sum())
    n_negative = len(labels) - n_positive
    if not n_positive or not n_negative:
        return float("nan")
    rank_sum = stats.rankdata(scores)[positive].sum()
    return float((rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def group_ndcg(labels: Floats, scores: Floats, length: int = _LENGTH) -> float:
    """NDCG@length; NaN without a positive example.

    Args:
        labels: [n], 0 or 1.
        scores: [n].
        length: how many of the first ranks count.
    """
    n_positive = int((labels > 0.5).sum())
    if not n_positive:
        return float("nan")
    ranks = np.arange(1, len(labels) + 1)
    discounts = np.cumsum(np.where(ranks <= length, 1 / np.log2(ranks + 1), 0))
    # Rows of one score get the mean of the discounts at their ranks: what a random order among them would give.
    _, place, count = np.unique(-scores, return_inverse=True, return_counts=True)
    gains = np.bincount(place, labels) / count
    dcg = gains @ np.diff(discounts[np.cumsum(count) - 1], prepend=0)
    return float(dcg / discounts[n_positive - 1])


@dataclass
class Sums:
    """Sums over groups, of the metric times the group's weight and of that weight."""

    auc: float = 0.0
    auc_weight: float = 0.0
    ndcg: float = 0.0
    ndcg_weight: float = 0.0

    def add(self, labels: Floats, scores: Floats, weights: Floats) -> None:
        """Adds a group: [n] labels, scores and example weights of its rows."""
        auc, ndcg = group_auc(labels, scores), group_ndcg(labels, scores)
        if not np.isnan(auc):
            self.auc += auc * float(weights.sum())
            self.auc_weight += float(weights.sum())
        if not np.isnan(ndcg):
            self.ndcg += ndcg * float(weights.mean())
            self.ndcg_weight += float(weights.mean())

    def merge(self, other: Sums) -> None:
        """Takes over what another accumulator has added up."""
        self.auc += other.auc
        self.auc_weight += other.auc_weight
        self.ndcg += other.ndcg
        self.ndcg_weight += other.ndcg_weight

    def result(self, name: str) -> float:
        """GAUC or NDCG, by name."""
        total, weight = (self.auc, self.auc_weight) if name == GAUC else (self.ndcg, self.ndcg_weight)
        return total / weight if weight else float("nan")


class _SumsCombiner(beam.CombineFn):  # type: ignore[misc]
    """Adds up groups; TFMA hands over all rows of a group (within a slice) as one element."""

    def __init__(self, key: metric_types.MetricKey, eval_config: Any) -> None:
        self._key = key
        self._eval_config = eval_config

    def create_accumulator(self) -> Sums:
        return Sums()

    def add_input(self, accumulator: Sums, element: metric_types.StandardMetricInputs) -> Sums:
        label, prediction, weight = next(
            metric_util.to_label_prediction_example_weight(
                element,
                eval_config=self._eval_config,
                model_name=self._key.model_name,
                output_name=self._key.output_name,
                example_weighted=self._key.example_weighted,
                flatten=False,
            )
        )
        labels = np.ravel(label)
        accumulator.add(labels, np.ravel(prediction), np.broadcast_to(np.ravel(weight), labels.shape))
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Sums]) -> Sums:
        first, *others = accumulators
        for other in others:
            first.merge(other)
        return first

    def extract_output(self, accumulator: Sums) -> dict[metric_types.MetricKey, Sums]:
        return {self._key: accumulator}


def _computations(
    name: str,
    eval_config: Any = None,
    model_names: Iterable[str] | None = None,
    example_weighted: bool = False,
    query_key: str = "",
) -> list[Any]:
    if not query_key:
        raise ValueError(f"{name}: expected a query_key, received none")
    combiner = functools.partial(_SumsCombiner, eval_config=eval_config)
    return combiners.computations(name, _SUMS, combiner, model_names, example_weighted)
