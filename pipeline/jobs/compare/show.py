"""A comparison as tables for a terminal, as a picture, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from components.evaluation.metrics.registry import METRICS, find
from components.report.charts import any_letters
from pipeline.jobs.compare.metrics import mean_and_deviation, paired_p
from pipeline.jobs.compare.run import FAMILIARITY, LIST_LENGTH, OFTEN, Comparison
from pipeline.terminal.json import as_json
from pipeline.terminal.tables import add_row, new_table

_SIGNIFICANT = 0.05
_FEW_ROWS = 50
"""The smallest number of rows for which an AUC is shown."""
_PANELS = 4
"""The largest number of panels of familiarity in the picture."""


def tables(comparison: Comparison) -> Iterator[Table]:
    """The models' metrics, then their AUC by familiarity."""
    names = list(comparison.models)
    seeds = len(comparison.seeds)
    headings = [f"{name}#" for name in names]
    table = new_table(f"{comparison.dataset}: test split, {_counted(seeds, 'seed')}", "", *headings)
    summaries = [_summary(comparison, name) for name in names]
    for title in summaries[0]:
        add_row(table, title, *(summary[title] for summary in summaries))
    table.caption = (
        f"Mean ± standard deviation over seeds. + better, - worse than {names[0]}: p < {_SIGNIFICANT} in a paired "
        f"t-test over seeds."
        if seeds > 1
        else "One seed: no deviation, no test; see --seeds."
    )
    yield table

    told_apart = _told_apart(comparison)
    if told_apart:
        table = new_table("AUC by how often it was seen in training", "what", "seen", "rows#", *headings)
        for what, kinds in told_apart.items():
            for kind in kinds:
                cells = [_cell([each.by_familiarity[what][kind] for each in comparison.models[name]]) for name in names]
                add_row(table, what, kind, f"{comparison.rows[what][kind]:,}", *cells)
        table.caption = (
            f"Rarely: in fewer than {OFTEN} training rows. Where a row has several values, its most frequent one."
        )
        yield table


def _told_apart(comparison: Comparison) -> dict[str, list[str]]:
    """Counted name -> the kinds of familiarity with enough rows, if there are several."""
    enough = {what: [kind for kind in FAMILIARITY if rows[kind] >= _FEW_ROWS] for what, rows in comparison.rows.items()}
    return {what: kinds for what, kinds in enough.items() if len(kinds) > 1}


def write(comparison: Comparison, folder: Path) -> tuple[Path, Path]:
    """Writes the picture and the numbers.

    Returns:
        The paths of `compare.png` and `compare.json`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, numbers = folder / "compare.png", folder / "compare.json"
    with any_letters():
        picture(comparison).savefig(path, dpi=120)
    numbers.write_text(as_json(comparison) + "\n")
    return path, numbers


def _summary(comparison: Comparison, name: str) -> dict[str, str]:
    """The cells of a model, by the title of their row."""
    trained = comparison.models[name]
    summary = {
        metric: _cell([each.metrics[metric] for each in trained]) + _mark(comparison, name, metric)
        for metric in METRICS
        if metric in trained[0].metrics
    }
    if trained[0].coverage is not None:
        summary[f"coverage@{LIST_LENGTH}"] = _cell([each.coverage or 0 for each in trained]) + "  "
        summary["novelty"] = _cell([each.novelty or 0 for each in trained], 2) + "  "
    summary["epochs"] = f"{np.mean([each.epochs for each in trained]):.1f}  "
    summary["parameters"] = f"{trained[0].parameters:,}  "
    summary["rows/s"] = f"{np.mean([each.rows_per_second for each in trained]):,.0f}  "
    return summary


def _mark(comparison: Comparison, name: str, metric: str) -> str:
    """A mark if a model is better or worse than the first by more than chance."""
    first, other = (
        [each.metrics[metric] for each in comparison.models[model]] for model in (next(iter(comparison.models)), name)
    )
    if find(metric).better == "neither" or first == other or not paired_p(first, other) < _SIGNIFICANT:
        return "  "
    higher = sum(other) > sum(first)
    return " +" if higher == (find(metric).better == "higher") else " -"


def _cell(values: Sequence[float], digits: int = 4) -> str:
    mean, deviation = mean_and_deviation(values)
    if math.isnan(mean):
        return ""
    return f"{mean:.{digits}f}" + ("" if math.isnan(deviation) else f" ± {deviation:.{digits}f}")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + "s" * (number != 1)


def picture(comparison: Comparison) -> Figure:
    """The models' metrics, a point per seed, then their AUC by familiarity."""
    metrics = [name for name in ("auc", "logloss", "ndcg@10") if _has(comparison, name)]
    told_apart = list(_told_apart(comparison).items())[:_PANELS]
    panels = len(metrics) + len(told_apart)
    columns = min(3, panels)
    lines = math.ceil(panels / columns)
    figure = Figure((4.2 * columns, 3.2 * lines), layout="constrained")
    axes = iter(figure.subplots(lines, columns, squeeze=False).flat)
    for metric in metrics:
        _draw_metric(next(axes), comparison, metric)
    for what, kinds in told_apart:
        _draw_familiarity(next(axes), comparison, what, kinds)
    for unused in axes:
        unused.set_visible(False)
    figure.suptitle(f"{comparison.dataset}: test split, {_counted(len(comparison.seeds), 'seed')}", parse_math=False)
    return figure


def _has(comparison: Comparison, metric: str) -> bool:
    return all(metric in each.metrics for trained in comparison.models.values() for each in trained)


def _draw_metric(axes: Axes, comparison: Comparison, metric: str) -> None:
    """A point per seed, and a bar of one standard deviation around the mean."""
    for place, trained in enumerate(comparison.models.values()):
        values = [each.metrics[metric] for each in trained]
        mean, deviation = mean_and_deviation(values)
        axes.errorbar(place, mean, None if math.isnan(deviation) else deviation, fmt="o", capsize=4, color=f"C{place}")
        axes.scatter([place + 0.15] * len(values), values, s=8, color=f"C{place}", alpha=0.6)
    axes.set_xticks(range(len(comparison.models)), list(comparison.models), rotation=30, ha="right")
    axes.set_title(f"{metric} ({find(metric).better} is better)", fontsize="medium")
    axes.grid(axis="y", alpha=0.3)


def _draw_familiarity(axes: Axes, comparison: Comparison, what: str, kinds: Sequence[str]) -> None:
    """A line per model, from what was never seen to what was seen often."""
    for place, (name, trained) in enumerate(comparison.models.items()):
        found = [mean_and_deviation([each.by_familiarity[what][kind] for each in trained]) for kind in kinds]
        shift = (place - (len(comparison.models) - 1) / 2) * 0.06
        axes.errorbar(
            [spot + shift for spot in range(len(kinds))], [mean for mean, _ in found],
            [0 if math.isnan(deviation) else deviation for _, deviation in found],
            fmt="o-", capsize=3, color=f"C{place}", label=name,
        )  # fmt: skip
    axes.set_xticks(range(len(kinds)), [f"{kind}\n{comparison.rows[what][kind]:,} rows" for kind in kinds])
    axes.set_title(f"auc by how often {what} was seen", fontsize="medium", parse_math=False)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize="x-small")
