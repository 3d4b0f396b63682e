"""Results as tables for a terminal."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.bar import Bar
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from components.evaluation.metrics.names import METRICS
from pipeline.live.ranking import RankedList
from pipeline.live.trial import Trial
from pipeline.run.history import Run
from pipeline.terminal.tables import add_row, new_table
from schema.describe import Description
from serving.load import PERCENTILES, Report

if TYPE_CHECKING:
    from pipeline.platforms.kubeflow.server import Schedule

_ANY_WIDTH = 10_000
_BAR_WIDTH = 40


def ranking_table(ranked: RankedList) -> Table:
    """A ranked list."""
    table = new_table(f"For {ranked.group}, the best of {ranked.candidates:,}", "##", "score#", "item", "title")
    for place, item in enumerate(ranked.items, start=1):
        add_row(table, str(place), f"{item.score:.3f}", item.item, item.title)
    return table


def runs_table(runs: Sequence[Run]) -> Table:
    """Runs, a line each."""
    shown = [name for name in METRICS if any(name in run.metrics for run in runs)]
    table = new_table("", "run", "dataset", "model", *(f"{name}#" for name in shown), "blessed", "pushed")
    for run in runs:
        metrics = [f"{run.metrics[name]:.4f}" if name in run.metrics else "" for name in shown]
        blessed = {True: "unjudged" if run.unjudged else "yes", False: "no", None: ""}[run.blessed]
        if run.failed or run.unfinished:
            blessed = f"stopped: {run.failed}" if run.failed else f"unfinished: {run.unfinished}"
        add_row(table, run.run_id, run.dataset, run.model or "", *metrics, blessed, run.pushed_version or "")
    # Where lines are longer than the terminal's, it breaks them; rich would break up every word.
    table.width = Console(width=_ANY_WIDTH).measure(table).maximum
    return table


def schedules_table(schedules: Sequence[Schedule]) -> Table:
    """What a cluster runs by itself."""
    table = new_table("", "schedule", "seconds to weekday", "runs", "made", "id")
    for each in schedules:
        add_row(table, each.name, each.when, "yes" if each.enabled else "no", each.created, each.id)
    return table


def description_tables(description: Description) -> Iterator[Table]:
    """What becomes of each column, and the sizes of the splits and of the model's input."""
    table = new_table(
        f"{description.name}: columns", "column", "holds", "becomes", "missing#", "ids#", "width#", "parts"
    )
    for entry in description.features:
        missing = f"{entry.missing:.1%}" if entry.missing else ""
        ids, width = f"{entry.ids:,}" if entry.ids else "", str(entry.width or "")
        add_row(table, entry.name, entry.holds, entry.becomes, missing, ids, width, ", ".join(entry.parts))
    for name, role in description.others.items():
        add_row(table, name, "", role)
    yield table

    if description.crosses:
        table = new_table("crosses", "cross", "of", "becomes", "ids#", "parts")
        for entry in description.crosses:
            add_row(table, entry.name, entry.holds, entry.becomes, f"{entry.ids:,}", ", ".join(entry.parts))
        yield table

    means = {"binary": ("positive#", "{:.1%}"), "number": ("mean label#", "{:.4g}")}
    title, shown = means.get(description.label, ("", ""))
    table = new_table("splits", "split", "rows#", title)
    for name, size in description.splits.items():
        add_row(table, name, f"{size.rows:,}", shown.format(size.labels / size.rows))
    table.caption = (
        f"Rows are split by {escape(description.split_by)}. The wide part sees {description.wide_ids:,} ids, "
        f"the deep part's first layer {description.deep_width:,} numbers."
    )
    yield table


def versions_table(states: Mapping[int, str], labels: Mapping[str, int], pushed: Collection[int]) -> Table:
    """A model's versions, the newest first: those that were pushed and those that a server knows."""
    table = new_table("", "version", "labels", "state", "pushed")
    for version in sorted({*states, *pushed}, reverse=True):
        named = ", ".join(label for label, labelled in labels.items() if labelled == version)
        add_row(table, str(version), named, states.get(version, ""), "yes" if version in pushed else "gone")
    return table


def trial_table(trial: Trial) -> Table:
    """What both labels answered."""
    table = new_table("", "label", "requests#", "errors#", "p50 ms#", "p99 ms#")
    for label, answers in trial.answers.items():
        times = [f"{answers.percentile(percent):.1f}" for percent in (50, 99)]
        add_row(table, label, f"{answers.requests:,}", f"{answers.error_rate:.2%}" if answers.requests else "", *times)
    table.caption = f"Of the ten best items of the stable version, the canary also has {trial.overlap:.0%}."
    return table


def load_tables(report: Report) -> Iterator[Table]:
    """What a server did under load, and how its latencies are distributed."""
    headings = [f"{name} ms#" for name in PERCENTILES]
    table = new_table("", "answers#", "per second#", *headings, "errors#")
    latencies = [f"{report.percentile(percent):,.2f}" if report.answered else "" for percent in PERCENTILES.values()]
    add_row(table, f"{report.answered:,}", f"{report.qps:,.1f}", *latencies, f"{report.failed:,}")
    notes = [f"{count:,} {code}" for code, count in report.errors.items()]
    if report.unsent:
        notes.append(f"{report.unsent:,} were due and not sent: all clients were waiting for answers")
    table.caption = escape(", ".join(notes))
    yield table

    bins = report.histogram()
    table = new_table("", "from ms#", "to ms#", "answers#", "")
    for bar in bins:
        blocks = Bar(max(each.count for each in bins), 0, bar.count, width=_BAR_WIDTH)
        table.add_row(f"{bar.low_ms:,.2f}", f"{bar.high_ms:,.2f}", f"{bar.count:,}", blocks)
    yield table
