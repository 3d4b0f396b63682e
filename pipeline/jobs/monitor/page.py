"""The HTML page of `rankline monitor`, in the style of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from components.report import charts, page
from components.report.document import Distribution
from pipeline.jobs.monitor.judge import AlarmLimits, Findings

_MOST_COLUMNS = 30
_SECTIONS = {"served": "What was served", "scores": "Scores", "columns": "Columns"}


def html(findings: Findings, dataset: str, limits: AlarmLimits) -> str:
    """A page of the findings that loads no other files.

    Args:
        findings: the findings.
        dataset: the name of the dataset.
        limits: the limits for the alarms.
    """
    drawn = {
        "scores": charts.distribution(Distribution(edges=findings.edges, shares=findings.shares)),
        "columns": _distances(findings, limits),
    }
    expected = {"auc": findings.judged.get("auc"), "calibration": 1.0}
    for name, value in expected.items():
        by_window = {window.name: getattr(window, name) for window in findings.windows}
        known = {window: each for window, each in by_window.items() if each is not None and np.isfinite(each)}
        if known and len(findings.windows) > 1:
            drawn[name] = _by_window(name, known, value)
    return page.rendered(
        "monitored.html",
        findings,
        _SECTIONS,
        drawn,
        "rows",
        package="pipeline.jobs.monitor",
        dataset=dataset,
        limits=limits,
    )


def _by_window(name: str, values: Mapping[str, float], expected: float | None) -> str:
    """A chart of a metric in each window that has one."""

    def paint(axes: Axes) -> None:
        axes.plot(range(len(values)), list(values.values()), color=charts.SERIES[0], marker="o", markersize=4)
        if expected is not None:
            axes.axhline(expected, color=charts.INK, linewidth=0.6, linestyle="--")
        step = -(-len(values) // 8)
        axes.set_xticks(range(0, len(values), step), list(values)[::step], rotation=30, ha="right")
        axes.set(ylabel=name)

    told = "" if expected is None else f"; dashed: {expected:.4g}"
    return charts.draw(name, f"{name} by window{told}; all numbers are in the table", paint)


def _distances(findings: Findings, limits: AlarmLimits) -> str:
    """A chart of each column's distance from training and from the window before."""
    names = list(findings.skew)[:_MOST_COLUMNS]
    places = np.arange(len(names))

    def paint(axes: Axes) -> None:
        series: Sequence[tuple[str, Mapping[str, float], float]] = (
            ("from training", findings.skew, limits.skew),
            ("from the window before", findings.drift, limits.drift),
        )
        shown = [each for each in series if each[1]]
        height = 0.8 / len(shown)
        for row, (label, distances, limit) in enumerate(shown):
            widths = [distances.get(name, 0.0) for name in names]
            at = places + (row - (len(shown) - 1) / 2) * height
            axes.barh(at, widths, height, color=charts.SERIES[row], label=label)
            axes.axvline(limit, color=charts.SERIES[row], linewidth=0.8, linestyle="--")
        axes.set_yticks(places, names)
        axes.set(ylim=(len(names) - 0.5, -0.5), xlabel="Jensen-Shannon divergence")
        axes.grid(axis="y", visible=False)
        if len(shown) > 1:
            axes.legend()

    text = f"The distances of {len(names)} columns; all numbers are in the table"
    return charts.draw("columns", text, paint, (5.0, 1 + 0.3 * len(names)))
