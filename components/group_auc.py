"""GAUC: how well items are ordered within each user's (or query's) list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
from scipy import stats
from tensorflow_model_analysis.metrics import metric_types, metric_util

NAME = "gauc"


class GroupAUC(metric_types.Metric):  # type: ignore[misc]
    """Area under the ROC curve per group, averaged over groups with the number of their impressions as weight.

    GAUC = Σ_g n_g · AUC_g / Σ_g n_g over the groups g that have positive and negative examples (Zhou et al., Deep
    Interest Network for Click-Through Rate Prediction, equation 7). AUC_g is the probability that a positive example
    of the group scores above a negative one, ties counting one half. Unlike AUC over all rows it cannot be raised by
    telling active users from others, only by ordering a user's items. With example weights, n_g is their sum.

    A TFMA metric that needs a `query_key`; NaN where no group has both classes.
    """

    def __init__(self, name: str = NAME) -> None:
        super().__init__(_computations, name=name)


def _computations(
    name: str = NAME,
    eval_config: Any = None,
    model_names: Iterable[str] | None = None,
    output_names: Iterable[str] | None = None,
    example_weighted: bool = False,
    query_key: str = "",
) -> list[metric_types.MetricComputation]:
    if not query_key:
        raise ValueError(f"{name}: expected a query_key, received none")
    keys = [
        metric_types.MetricKey(name, model_name=model, output_name=output, example_weighted=example_weighted)
        for model in model_names or [""]
        for output in output_names or [""]
    ]
    return [
        metric_types.MetricComputation(keys=[key], preprocessors=None, combiner=_GroupAUCCombiner(key, eval_config))
        for key in keys
    ]


@dataclass
class _Sum:
    weighted_auc: float = 0.0
    weight: float = 0.0


class _GroupAUCCombiner(beam.CombineFn):  # type: ignore[misc]
    """Adds up groups; TFMA hands over all rows of a group (within a slice) as one element."""

    def __init__(self, key: metric_types.MetricKey, eval_config: Any) -> None:
        self._key = key
        self._eval_config = eval_config

    def create_accumulator(self) -> _Sum:
        return _Sum()

    def add_input(self, accumulator: _Sum, element: Any) -> _Sum:
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
        auc = group_auc(np.ravel(label), np.ravel(prediction))
        if not np.isnan(auc):
            group_weight = float(np.sum(np.broadcast_to(np.ravel(weight), np.ravel(label).shape)))
            accumulator.weighted_auc += auc * group_weight
            accumulator.weight += group_weight
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[_Sum]) -> _Sum:
        accumulators = list(accumulators)
        return _Sum(sum(a.weighted_auc for a in accumulators), sum(a.weight for a in accumulators))

    def extract_output(self, accumulator: _Sum) -> dict[metric_types.MetricKey, float]:
        return {self._key: accumulator.weighted_auc / accumulator.weight if accumulator.weight else float("nan")}


def group_auc(labels: np.ndarray, scores: np.ndarray) -> float:
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
