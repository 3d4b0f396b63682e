"""The registered metrics as TFMA metrics: one pass over the data for the metrics of rows, another for those of lists.

Each of TFMA's own metrics looks up label, prediction and weight of every row in every slice, which took most of the
Evaluator's time. The metrics here share an accumulator, which looks these up once and adds them up in batches.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis.constants import FEATURES_KEY
from tensorflow_model_analysis.metrics import metric_types, metric_util

from components.evaluation.answers import Answers, Floats
from components.evaluation.metrics import registry
from schema.answers import JUDGED_BY, LabelKind, of_other_label
from schema.feature_spec import LABEL

COUNTED_ROWS, COUNTED_POSITIVES = "counted_rows", "counted_positives"
"""The names of two counts beside the metrics: the rows with a weight above 0, and the positive rows among these."""

_ROW_SUMS, _LIST_SUMS = "_row_sums", "_list_sums"  # with an underscore, so that TFMA does not report them
_BATCH = 1000
_NOTHING: Floats = np.zeros(0)


class Sums(Protocol):
    """The accumulator of one pass over the data, for all metrics of the pass."""

    def merge(self, other: Any) -> None:
        """Adds the sums of another accumulator."""

    def compact(self) -> None:
        """Adds up the buffered rows."""

    def result(self, name: str) -> float:
        """The value of a metric or count; NaN if it has none."""


class RowSums:
    """The sums for the metrics of rows, over rows, batches and workers, in bounded memory.

    Args:
        label: the kind of the rows' label.
    """

    def __init__(self, label: LabelKind) -> None:
        self._label = label
        self._rows = self._positives = 0
        self._waiting: list[tuple[float, ...]] = []
        self._sums = self._of(_NOTHING, _answers(_NOTHING), _NOTHING)

    def add(self, label: float, answer: Any, weight: float) -> None:
        """Adds a row.

        Args:
            label: the label as in examples.
            answer: the model's answer, a number; for many classes their probabilities, [classes].
            weight: the row's weight.
        """
        if self._label == "classes":
            self._waiting.append((label, weight, answer[int(label)], float(np.argmax(answer)), np.max(answer)))
        else:
            self._waiting.append((label, weight, answer))
        if len(self._waiting) >= _BATCH:
            self.compact()

    def compact(self) -> None:
        """Adds up the buffered rows."""
        if self._waiting:
            labels, weights, *said = np.array(self._waiting, np.float64).T
            self._waiting = []
            self._rows += int((weights > 0).sum())
            self._positives += int(((weights > 0) & (labels > 0.5)).sum())
            self._add(self._of(labels, _answers(*said), weights))

    def merge(self, other: RowSums) -> None:
        """Adds the sums of another accumulator."""
        other.compact()
        self._rows += other._rows
        self._positives += other._positives
        self._add(other._sums)

    def result(self, name: str) -> float:
        """The value of a metric or count over the rows that were added before `compact`; NaN if it has none."""
        if name in (COUNTED_ROWS, COUNTED_POSITIVES):
            return self._rows if name == COUNTED_ROWS else self._positives
        (metric,) = (each for each in registry.of_rows(self._label) if each.name == name)
        return metric.formula.value(self._sums[name])

    def _of(self, labels: Floats, answers: Answers, weights: Floats) -> dict[str, Any]:
        return {each.name: each.formula.sums(labels, answers, weights) for each in registry.of_rows(self._label)}

    def _add(self, sums: Mapping[str, Any]) -> None:
        for name, more in sums.items():
            self._sums[name] = self._sums[name] + more


def _answers(values: Floats, classes: Floats = _NOTHING, confidences: Floats = _NOTHING) -> Answers:
    return Answers(values, classes.astype(np.int64), confidences)


class ListSums:
    """The sums for the metrics of lists: over groups, each metric times the group's weight, and that weight."""

    def __init__(self) -> None:
        self._sums = {metric.name: np.zeros(2) for metric in registry.of_lists()}

    def add(self, labels: Floats, scores: Floats, weights: Floats) -> None:
        """Adds a group, by the labels, scores and example weights of its rows, [rows] each."""
        for metric in registry.of_lists():
            value = metric.of_list(labels, scores)
            if not math.isnan(value):
                weight = float(weights.sum() if metric.by_rows else weights.mean())
                self._sums[metric.name] += (value * weight, weight)

    def compact(self) -> None:
        """Does nothing, since groups are not buffered."""

    def merge(self, other: ListSums) -> None:
        """Adds the sums of another accumulator."""
        for name, more in other._sums.items():
            self._sums[name] = self._sums[name] + more

    def result(self, name: str) -> float:
        """The value of a metric; NaN if no group has one."""
        total, weight = self._sums[name]
        return float(total / weight) if weight else math.nan


class _Combiner(beam.CombineFn):  # type: ignore[misc]
    """Adds up TFMA's inputs, and returns the `Sums` under their key."""

    def __init__(self, key: metric_types.MetricKey) -> None:
        self._key = key

    def merge_accumulators(self, accumulators: Iterable[Sums]) -> Sums:
        first, *others = accumulators
        for other in others:
            first.merge(other)
        return first

    def compact(self, accumulator: Sums) -> Sums:
        accumulator.compact()
        return accumulator

    def extract_output(self, accumulator: Sums) -> dict[metric_types.MetricKey, Sums]:
        return {self._key: self.compact(accumulator)}


class _RowCombiner(_Combiner):
    """Adds up rows.

    Args:
        key: the key of the sums.
        kind: the kind of the label.
        other: the name of a label other than the first, or "" for the first. Rows without that label do not count.
    """

    def __init__(self, key: metric_types.MetricKey, kind: LabelKind, other: str) -> None:
        super().__init__(key)
        self._kind = kind
        self._answer = of_other_label(other) if other else JUDGED_BY[kind]
        self._label = f"{LABEL}_{other}" if other else ""

    def create_accumulator(self) -> RowSums:
        return RowSums(self._kind)

    def add_input(self, accumulator: RowSums, element: metric_types.StandardMetricInputs) -> RowSums:
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
        # TFMA leaves out features that none of the rows has.
        value = element.features.get(self._label)
        return math.nan if value is None else _number(value, self._key.model_name)


class _ListCombiner(_Combiner):
    """Adds up groups; TFMA passes all rows of a group (within a slice) as one element."""

    def __init__(self, key: metric_types.MetricKey, eval_config: Any) -> None:
        super().__init__(key)
        self._eval_config = eval_config

    def create_accumulator(self) -> ListSums:
        return ListSums()

    def add_input(self, accumulator: ListSums, element: metric_types.StandardMetricInputs) -> ListSums:
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


def _value(value: Any, key: str) -> Any:
    """The value, or the value under `key` in a mapping, as a float if it is one number, else as an array."""
    if isinstance(value, Mapping):
        value = value[key]
    array = np.ravel(value)
    return float(array[0]) if array.size == 1 else array


def _number(value: Any, key: str) -> float:
    """A row's label or weight: NaN if the row has none, 1 if the data has no weights."""
    if value is None:
        return 1.0
    if isinstance(value, Mapping):
        value = value[key]
    array = np.ravel(value)
    return float(array[0]) if array.size else math.nan


# TFMA prefers its own metrics to others of the same class name, so these names must not be TFMA's.


class RowComputation(metric_types.Metric):  # type: ignore[misc]
    """A registered metric of rows, or a count of rows.

    Args:
        name: the name of the metric, or `COUNTED_ROWS` or `COUNTED_POSITIVES`.
        kind: the kind of the label.
        other: the name of a label other than the first, or "" for the first.
    """

    def __init__(self, name: str, kind: LabelKind, other: str = "") -> None:
        super().__init__(_of_rows, name=name, kind=kind, other=other)


class ListComputation(metric_types.Metric):  # type: ignore[misc]
    """A registered metric of lists. It needs a `query_key`.

    Args:
        name: the name of the metric.
    """

    def __init__(self, name: str) -> None:
        super().__init__(_of_lists, name=name)


def _of_rows(
    name: str,
    kind: LabelKind,
    other: str = "",
    eval_config: Any = None,
    model_names: Iterable[str] | None = None,
    example_weighted: bool = False,
) -> list[Any]:
    del eval_config  # TFMA passes it by name
    combiner = functools.partial(_RowCombiner, kind=kind, other=other)
    feature = f"{LABEL}_{other}" if other else None
    named = f"{other}.{name}" if other else name
    return _computations(named, _ROW_SUMS + other, combiner, model_names, example_weighted, feature)


def _of_lists(
    name: str,
    eval_config: Any = None,
    model_names: Iterable[str] | None = None,
    example_weighted: bool = False,
    query_key: str = "",
) -> list[Any]:
    if not query_key:
        raise ValueError(f"{name}: expected a query_key, received none")
    combiner = functools.partial(_ListCombiner, eval_config=eval_config)
    return _computations(name, _LIST_SUMS, combiner, model_names, example_weighted)


def _computations(
    name: str,
    shared: str,
    combiner: Callable[[metric_types.MetricKey], _Combiner],
    model_names: Iterable[str] | None,
    example_weighted: bool,
    feature: str | None = None,
) -> list[Any]:
    """The computations of a metric, and of the sums that it shares with other metrics.

    Args:
        name: the name of the metric.
        shared: the name of the sums.
        combiner: a function that makes the combiner of the sums, from their key.
        model_names: the models' names, as TFMA passes them.
        example_weighted: whether rows are weighted, as TFMA passes it.
        feature: the feature that the combiner reads, if any.
    """
    result: list[Any] = []
    for model in model_names or [""]:
        sums = metric_types.MetricKey(shared, model_name=model, example_weighted=example_weighted)
        key = metric_types.MetricKey(name, model_name=model, example_weighted=example_weighted)
        # TFMA runs equal computations once, so that all metrics share this one.
        reads = [metric_types.StandardMetricInputsPreprocessor({FEATURES_KEY: {feature: {}}})] if feature else None
        once = metric_types.MetricComputation(keys=[sums], preprocessors=reads, combiner=combiner(sums))
        derived = metric_types.DerivedMetricComputation(keys=[key], result=functools.partial(_result, sums, key))
        result += [once, derived]
    return result


def _result(
    sums: metric_types.MetricKey, key: metric_types.MetricKey, metrics: Mapping[metric_types.MetricKey, Sums]
) -> dict[metric_types.MetricKey, float]:
    return {key: metrics[sums].result(key.name.rpartition(".")[2])}
