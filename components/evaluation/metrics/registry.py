"""The registry of metrics by name. To add a metric, write a file beside this one; nothing here changes.

The registry needs no TensorFlow, so that listing runs is fast.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from components.evaluation.answers import Answers, Floats, Ints
from components.evaluation.metrics.formulas import Formula, Measure
from components.evaluation.metrics.groups import mean_over_groups
from schema.answers import LabelKind


@dataclass(frozen=True, kw_only=True)
class Metric(abc.ABC):
    """A metric that models are judged by.

    Attributes:
        name: the name in configurations and tables.
        label: the kind of label that the metric is for.
        better: the direction that is better; neither for a metric that is best at 1.
        within: the smallest and largest value that the metric can have.
        meaning: the meaning in words. `{group}` stands for the column of the ranking's groups.
        needs: the rows with a weight above 0 that the metric needs to have a value, in words like `meaning`.
        bounds: the gate's default bounds, with the keys of `components.evaluation.thresholds.Bounds`.
    """

    name: str
    label: LabelKind
    better: Literal["higher", "lower", "neither"]
    within: tuple[float, float]
    meaning: str
    needs: str
    bounds: Mapping[str, float] = field(default_factory=dict)

    @abc.abstractmethod
    def measure(self, labels: Floats, answers: Answers, groups: Ints | None) -> Measure:
        """The metric of resampled rows.

        Args:
            labels: [rows], the labels.
            answers: the model's answers to the rows.
            groups: [rows], codes of the ranking's groups; None without a ranking.
        """


@dataclass(frozen=True, kw_only=True)
class RowMetric(Metric):
    """A metric of single rows.

    Attributes:
        formula: the formula of the metric.
    """

    formula: Formula

    def measure(self, labels: Floats, answers: Answers, groups: Ints | None) -> Measure:
        return self.formula.measure(labels, answers)


@dataclass(frozen=True, kw_only=True)
class ListMetric(Metric):
    """A metric of a ranking's lists, for a label of two classes: a mean over the groups that have a value.

    Attributes:
        of_list: a function from the labels and scores of a group, [n] each, to its value, or NaN.
        by_rows: whether a group's weight is the sum of its rows' weights, else it is their mean.
    """

    label: LabelKind = "binary"
    of_list: Callable[[Floats, Floats], float]
    by_rows: bool

    def measure(self, labels: Floats, answers: Answers, groups: Ints | None) -> Measure:
        assert groups is not None, "asked for rankings only"
        return mean_over_groups(labels, answers.values, groups, self.of_list, self.by_rows)


METRICS: dict[str, RowMetric | ListMetric] = {}
"""The metrics by name, in the order of tables."""


def register(metric: RowMetric | ListMetric) -> None:
    """Adds a metric.

    Raises:
        ValueError: there is a metric of this name already.
    """
    if metric.name in METRICS:
        raise ValueError(f"expected names of metrics that differ, received {metric.name!r} twice")
    METRICS[metric.name] = metric


def find(name: str) -> RowMetric | ListMetric:
    """Finds a metric by its name, which may have another label's name in front, as in `bought.auc`."""
    return METRICS[name.rpartition(".")[2]]


def of_rows(label: LabelKind) -> list[RowMetric]:
    """The metrics of single rows for a kind of label."""
    return [metric for metric in METRICS.values() if isinstance(metric, RowMetric) and metric.label == label]


def of_lists() -> list[ListMetric]:
    """The metrics of a ranking's lists."""
    return [metric for metric in METRICS.values() if isinstance(metric, ListMetric)]


def names(label: LabelKind, ranked: bool) -> list[str]:
    """The names of all metrics of a dataset.

    Args:
        label: the kind of the dataset's label.
        ranked: whether the dataset has a ranking.
    """
    return [
        name for name, metric in METRICS.items() if metric.label == label and (ranked or isinstance(metric, RowMetric))
    ]
