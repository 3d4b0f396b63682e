"""The metrics, from their registry."""

from __future__ import annotations

from collections.abc import Mapping

from components.evaluation.metrics.registry import METRICS, ListMetric, RowMetric
from docs.generate.markdown import table
from schema.answers import LabelKind

_LABELS: Mapping[LabelKind, str] = {"binary": "two classes", "classes": "many classes", "number": "a number"}


def metrics() -> str:
    """A table of all metrics."""
    return table(
        ("Metric", "Label", "Better", "Default bounds", "Meaning", "Needs"),
        [
            (
                f"`{metric.name}`",
                _LABELS[metric.label] + (", with a ranking" if isinstance(metric, ListMetric) else ""),
                metric.better,
                _bounds(metric),
                metric.meaning.format(group="group"),
                metric.needs.format(group="group"),
            )
            for metric in METRICS.values()
        ],
    )


def _bounds(metric: RowMetric | ListMetric) -> str:
    return ", ".join(f"`{key}: {bound:g}`" for key, bound in metric.bounds.items())
