"""A backfill as a table for a terminal, as a picture, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from rich import box
from rich.table import Table

from components.evaluation.metrics.registry import find
from pipeline.jobs.backfill.judge import Judged
from pipeline.jobs.backfill.walk import Step, scores_of
from pipeline.terminal.json import as_json

Metrics = Mapping[str, Mapping[str, float]]
"""`once` and `continuous` -> metric -> value."""

_SHOWN = ("auc", "logloss")
_WORDS = {"once": "trained once", "continuous": "trained each time"}


@dataclass(frozen=True)
class Backfill:
    """The results of all spans.

    Attributes:
        dataset: the name of the dataset.
        steps: the steps, one for each span.
        judged: span -> metrics, for the spans after the first model.
        overall: the metrics over the rows of all these spans; empty if there are none.
    """

    dataset: str
    steps: Sequence[Step]
    rows: Mapping[str, int]
    judged: Mapping[str, Metrics]
    overall: Metrics

    @classmethod
    def read(cls, dataset: str, steps: Sequence[Step], folder: Path) -> Self:
        """Reads the scores that the walk has written to its folder."""
        paths = {step.span: scores_of(folder, step.span) for step in steps}
        scores = {span: Judged.load(path) for span, path in paths.items() if path.is_file()}
        return cls(
            dataset,
            steps,
            {span: len(each.labels) for span, each in scores.items()},
            {span: each.metrics() for span, each in scores.items()},
            Judged.joined(scores.values()).metrics() if scores else {},
        )

    def better(self, metric: str) -> str:
        """The number of spans, of those that two models have judged, on which the later model is better."""
        sign = 1 if find(metric).better == "higher" else -1
        gains = [
            sign * (metrics["continuous"][metric] - metrics["once"][metric])
            for metrics in self.judged.values()
            if metrics["continuous"] != metrics["once"]
        ]
        return f"{sum(gain > 0 for gain in gains)} of {len(gains)}"


def table(backfill: Backfill) -> Table:
    """A table with a line for each span, and one for all."""
    table = Table(
        title=f"{backfill.dataset}: each span judged by the models from before it",
        box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", caption_justify="left",
    )  # fmt: skip
    table.add_column("span", no_wrap=True)
    headings = ["rows", *(f"{metric} {kind}" for metric in _SHOWN for kind in ("once", "each")), "ids", "known"]
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for step in backfill.steps:
        ids = [f"{step.ids:,}", f"{step.known_ids / step.ids:.0%}"] if step.ids else ["", ""]
        rows = f"{backfill.rows[step.span]:,}" if step.span in backfill.rows else ""
        table.add_row(step.span, rows, *_cells(backfill.judged.get(step.span, {})), *ids)
    if backfill.overall:
        table.add_section()
        table.add_row("all", f"{sum(backfill.rows.values()):,}", *_cells(backfill.overall), "", "")
    counts = ", ".join(f"{metric} on {backfill.better(metric)}" for metric in _SHOWN)
    table.caption = (
        "once: the first model; each: the model that was served when the span came.\n"
        f"Training each time is better by {counts} spans.\n"
        "ids: those with weights in the span's own model; known: those also in the model before."
    )
    return table


def _cells(metrics: Metrics) -> list[str]:
    return [
        "" if not metrics or math.isnan(metrics[kind][metric]) else f"{metrics[kind][metric]:.4f}"
        for metric in _SHOWN
        for kind in _WORDS
    ]


def write(backfill: Backfill, folder: Path) -> tuple[Path, Path]:
    """Writes the picture and the numbers.

    Returns:
        The paths of `backfill.png` and `backfill.json`.
    """
    picture, numbers = folder / "backfill.png", folder / "backfill.json"
    _draw(backfill, picture)
    numbers.write_text(as_json(backfill) + "\n")
    return picture, numbers


def _draw(backfill: Backfill, path: Path) -> None:
    figure, (*panels, growth) = plt.subplots(
        len(_SHOWN) + 1, figsize=(8, 8), sharex=True, layout="constrained", height_ratios=[2, 2, 1]
    )
    places = {step.span: place for place, step in enumerate(backfill.steps)}
    for axes, metric in zip(panels, _SHOWN, strict=True):
        for color, (kind, words) in enumerate(_WORDS.items()):
            judged = {places[span]: metrics[kind][metric] for span, metrics in backfill.judged.items()}
            overall = backfill.overall[kind][metric] if backfill.overall else math.nan
            over_all = "" if math.isnan(overall) else f", {overall:.4f} over all"
            axes.plot(list(judged), list(judged.values()), "o-", color=f"C{color}", label=words + over_all)
        _label(axes, f"{metric} ({find(metric).better} is better)")
        axes.legend(fontsize="small")
    warm = {places[step.span]: step for step in backfill.steps if step.ids}
    growth.bar(list(warm), [step.ids for step in warm.values()], color="C2", alpha=0.4, label="new")
    growth.bar(list(warm), [step.known_ids for step in warm.values()], color="C2", label="from the model before")
    _label(growth, "ids that the model has weights for")
    growth.legend(fontsize="small", loc="upper left", ncols=2)
    growth.margins(y=0.5)
    growth.set_xticks(list(places.values()), list(places), rotation=45, ha="right")
    figure.suptitle(f"{backfill.dataset}: each span judged by the models from before it")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _label(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize="medium")
    axes.grid(axis="y", alpha=0.3)
