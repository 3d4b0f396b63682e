"""How several of our TFMA metrics come from one pass over the data."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import apache_beam as beam
from tensorflow_model_analysis.metrics import metric_types


class Sums(Protocol):
    """What a combiner adds up for all of its metrics."""

    def result(self, name: str) -> float:
        """The value of the metric called `name`."""


def computations(
    name: str,
    shared: str,
    combiner: Callable[[metric_types.MetricKey], beam.CombineFn],
    model_names: Iterable[str] | None,
    example_weighted: bool,
) -> list[Any]:
    """The computations of a metric that is read off sums shared with other metrics.

    Args:
        name: of the metric.
        shared: of the sums; with a leading underscore, so that TFMA does not report them.
        combiner: makes, for a key, the CombineFn whose output holds the `Sums` under that key.
        model_names: as TFMA gives them.
        example_weighted: as TFMA gives it.
    """
    result: list[Any] = []
    for model in model_names or [""]:
        sums = metric_types.MetricKey(shared, model_name=model, example_weighted=example_weighted)
        key = metric_types.MetricKey(name, model_name=model, example_weighted=example_weighted)
        # TFMA runs equal computations once, so the metrics share this one.
        once = metric_types.MetricComputation(keys=[sums], preprocessors=None, combiner=combiner(sums))
        derived = metric_types.DerivedMetricComputation(keys=[key], result=functools.partial(_result, sums, key))
        result += [once, derived]
    return result


def _result(
    sums: metric_types.MetricKey, key: metric_types.MetricKey, metrics: Mapping[metric_types.MetricKey, Sums]
) -> dict[metric_types.MetricKey, float]:
    return {key: metrics[sums].result(key.name)}
