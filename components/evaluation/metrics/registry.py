"""The metrics by name, with all that is to be known of them. Listing runs reads it, so it needs no TensorFlow."""

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
        name: as configurations and tables have it.
        label: the kind of label that it is for.
        better: the direction that is better; neither for a metric that is best at 1.
        within: between which values it is in any case.
        meaning: what it is, for people. `{group}` stands for the column of the ranking's groups.
        needs: without what, of a weight above 0, it has no value, for people as in `meaning`.
        bounds: that the gate asks by default, with the keys of `components.evaluation.thresholds.Bounds`.
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
        """The metric of rows that are resampled.

        Args:
            labels: [rows].
            answers: to the rows.
            groups: [rows], codes of the ranking's groups; None without a ranking.
        """


@dataclass(frozen=True, kw_only=True)
class RowMetric(Metric):
    """A metric of single rows.

    Attributes:
        formula: how it is computed.
    """

    formula: Formula

    def measure(self, labels: Floats, answers: Answers, groups: Ints | None) -> Measure:
        return self.formula.measure(labels, answers)


@dataclass(frozen=True, kw_only=True)
class ListMetric(Metric):
    """A metric of a ranking's lists, whose label has two classes: its mean over the groups that have a value.

    Attributes:
        of_list: labels and scores of a group, [n] each -> its value, or NaN.
        by_rows: whether a group weighs as much as its rows together, else as the mean of them.
    """

    label: LabelKind = "binary"
    of_list: Callable[[Floats, Floats], float]
    by_rows: bool

    def measure(self, labels: Floats, answers: Answers, groups: Ints | None) -> Measure:
        assert groups is not None, "asked for rankings only"
        return mean_over_groups(labels, answers.values, groups, self.of_list, self.by_rows)


METRICS: dict[str, RowMetric | ListMetric] = {}
"""By name, in the order in which tables show them."""


def register(metric: RowMetric | ListMetric) -> None:
    """Adds a metric.

    Raises:
        ValueError: there is one of that name.
    """
    if metric.name in METRICS:
        raise ValueError(f"expected names of metrics that differ, received {metric.name!r} twice")
    METRICS[metric.name] = metric


def find(name: str) -> RowMetric | ListMetric:
    """A metric by its name, which may have that of another label in front, as in `bought.auc`."""
    return METRICS[name.rpartition(".")[2]]


def of_rows(label: LabelKind) -> list[RowMetric]:
    """The metrics of single rows with such a label."""
    return [metric for metric in METRICS.values() if isinstance(metric, RowMetric) and metric.label == label]


def of_lists() -> list[ListMetric]:
    """The metrics of a ranking's lists."""
    return [metric for metric in METRICS.values() if isinstance(metric, ListMetric)]


def names(label: LabelKind, ranked: bool) -> list[str]:
    """The names of all metrics of a dataset.

    Args:
        label: the kind of its label.
        ranked: whether it has a ranking.
    """
    return [
        name for name, metric in METRICS.items() if metric.label == label and (ranked or isinstance(metric, RowMetric))
    ]
