"""How several of our TFMA metrics come from one pass over the data."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis.constants import FEATURES_KEY
from tensorflow_model_analysis.metrics import metric_types


class Sums(Protocol):
    """What a combiner adds up for all of its metrics."""

    def result(self, name: str) -> float:
        """The value of the metric called `name`."""


class PointwiseSums(Sums, Protocol):
    """Sums over single rows."""

    def add(self, label: float, prediction: Any, weight: float) -> None:
        """Adds a row."""

    def merge(self, other: Any) -> Any:
        """Takes over what another accumulator has added up."""

    def compact(self) -> Any:
        """Adds up the rows that wait for it."""


class PointwiseCombiner(beam.CombineFn):  # type: ignore[misc]
    """Adds up rows.

    Args:
        key: of the sums.
        sums: makes an empty accumulator.
        answer: what the model calls its prediction.
        label: the feature that holds the label, where it is not the one that TFMA knows. Rows without it do not count.
    """

    def __init__(
        self, key: metric_types.MetricKey, sums: Callable[[], PointwiseSums], answer: str, label: str | None = None
    ) -> None:
        self._key = key
        self._sums = sums
        self._answer = answer
        self._label = label

    def create_accumulator(self) -> PointwiseSums:
        return self._sums()

    def add_input(self, accumulator: PointwiseSums, element: metric_types.StandardMetricInputs) -> PointwiseSums:
        model = self._key.model_name
        prediction = element.prediction[model] if model else element.prediction
        weight = element.example_weight if self._key.example_weighted else None
        label = self._label_of(element)
        if not math.isnan(label):
            accumulator.add(label, _value(prediction, self._answer), _number(weight, model))
        return accumulator

    def _label_of(self, element: metric_types.StandardMetricInputs) -> float:
        if not self._label:
            return _number(element.label, self._key.model_name)
        # TFMA knows no feature that none of the rows has.
        value = element.features.get(self._label)
        return math.nan if value is None else _number(value, self._key.model_name)

    def merge_accumulators(self, accumulators: Iterable[PointwiseSums]) -> PointwiseSums:
        first, *others = accumulators
        for other in others:
            first.merge(other)
        return first

    def compact(self, accumulator: PointwiseSums) -> PointwiseSums:
        accumulator.compact()
        return accumulator

    def extract_output(self, accumulator: PointwiseSums) -> dict[metric_types.MetricKey, PointwiseSums]:
        accumulator.compact()
        return {self._key: accumulator}


def _value(value: Any, key: str) -> Any:
    """What TFMA holds by `key`, or as it is; one number as a number."""
    if isinstance(value, Mapping):
        value = value[key]
    array = np.ravel(value)
    return float(array[0]) if array.size == 1 else array


def _number(value: Any, key: str) -> float:
    """A row's label or weight: NaN if there is none in the row, 1 for a weight that the data has not."""
    if value is None:
        return 1.0
    if isinstance(value, Mapping):
        value = value[key]
    array = np.ravel(value)
    return float(array[0]) if array.size else math.nan


def computations(
    name: str,
    shared: str,
    combiner: Callable[[metric_types.MetricKey], beam.CombineFn],
    model_names: Iterable[str] | None,
    example_weighted: bool,
    feature: str | None = None,
) -> list[Any]:
    """The computations of a metric that is read off sums shared with other metrics.

    Args:
        name: of the metric.
        shared: of the sums; with a leading underscore, so that TFMA does not report them.
        combiner: makes, for a key, the CombineFn whose output holds the `Sums` under that key.
        model_names: as TFMA gives them.
        example_weighted: as TFMA gives it.
        feature: one that the combiner reads.
    """
    result: list[Any] = []
    for model in model_names or [""]:
        sums = metric_types.MetricKey(shared, model_name=model, example_weighted=example_weighted)
        key = metric_types.MetricKey(name, model_name=model, example_weighted=example_weighted)
        # TFMA runs equal computations once, so the metrics share this one.
        reads = [metric_types.StandardMetricInputsPreprocessor({FEATURES_KEY: {feature: {}}})] if feature else None
        once = metric_types.MetricComputation(keys=[sums], preprocessors=reads, combiner=combiner(sums))
        derived = metric_types.DerivedMetricComputation(keys=[key], result=functools.partial(_result, sums, key))
        result += [once, derived]
    return result


def pointwise(shared: str, sums: Callable[[], PointwiseSums], answer: str) -> Callable[..., list[Any]]:
    """What TFMA calls for the computations of a metric over single rows.

    Args:
        shared: as of `computations`.
        sums: makes an empty accumulator.
        answer: what the model calls its prediction.
    """

    def create(
        name: str,
        eval_config: Any = None,
        model_names: Iterable[str] | None = None,
        example_weighted: bool = False,
    ) -> list[Any]:
        del eval_config  # TFMA hands it over by name
        combiner = functools.partial(PointwiseCombiner, sums=sums, answer=answer)
        return computations(name, shared, combiner, model_names, example_weighted)

    return create


def _result(
    sums: metric_types.MetricKey, key: metric_types.MetricKey, metrics: Mapping[metric_types.MetricKey, Sums]
) -> dict[metric_types.MetricKey, float]:
    return {key: metrics[sums].result(key.name.rpartition(".")[2])}
