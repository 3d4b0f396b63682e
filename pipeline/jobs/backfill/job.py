"""The job of `rankline backfill`, with its output."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

from rich.markup import escape

from pipeline.config.run import RunConfig
from pipeline.config.spans import SpanParams
from pipeline.jobs.backfill import show
from pipeline.jobs.backfill.judge import judge
from pipeline.jobs.backfill.walk import Step, walk
from pipeline.jobs.compare.metrics import check_two_classes
from pipeline.run import local
from pipeline.run.layout import Layout
from pipeline.run.node import PUSHED, REFUSED
from pipeline.run.spans import dataset_in_window, spans_of
from pipeline.terminal.console import counted, quiet
from schema.dataset import find
from schema.errors import SpecError
from schema.spans import Spans

_MAKES_NO_OTHER_MODEL: Any = {
    **dict.fromkeys(("root", "metadata", "beam", "cache", "kubeflow"), True),
    # A problem of a span may stop the backfill. The user may then allow it, and the backfill continues.
    "spans": set(SpanParams.model_fields) - {"window"},
}
"""The keys of the configuration that do not change the models."""


def backfill_and_show(config: RunConfig, first: str | None, last: str | None) -> int:
    """Runs the pipeline for each of several spans, and shows and writes the gain from training anew each time.

    Args:
        config: the configuration of each run, except for its span.
        first: the span to begin with; None is the first span of the data.
        last: the span to end with; None is the last span of the data.

    Returns:
        The exit status: `PUSHED`, or `REFUSED` where the model of any span was refused.

    Raises:
        SpecError: the data has no spans, its label does not have two classes, or no span is from `first` to `last`.
        RanklineError: something stopped a run.
    """
    dataset = find(config.dataset)
    known = spans_of(dataset, "backfill")
    check_two_classes(dataset.spec, "backfill")
    spans = _chosen(dataset.name, known, first, last)
    layout = Layout(config.root, dataset.name)
    folder = layout.backfill(f"{spans[0]}-{_digest(config)}")
    log = folder / local.LOG_FILE
    with quiet(log) as console:
        console.print(
            f"Backfill of [bold]{escape(dataset.name)}[/]: {len(spans):,} spans from {spans[0]} to {spans[-1]}, "
            f"{config.train.model}, windows of {config.spans.window:,}"
        )
        console.print(f"  [dim]log: {escape(str(log))}[/]")
        steps = []
        with counted(console) as progress:
            task = progress.add_task("", total=len(spans))

            def judge_span(span: str, once: str, continuous: str, path: Path) -> None:
                judge(dataset.of_span(known.number(span)), once, continuous).save(path)

            def run_span(span: str) -> Step:
                progress.update(task, description=span)
                return _run(config, span, layout)

            for step, done_before in walk(spans, folder, judge_span, run_span):
                steps.append(step)
                progress.advance(task)
                console.print(_line(step, done_before))
        backfill = show.Backfill.read(dataset.name, steps, folder)
        console.print()
        console.print(show.table(backfill))
        for path in show.write(backfill, folder):
            console.print(f"  [dim]{escape(str(path))}[/]")
    return REFUSED if any(step.refusals for step in steps) else PUSHED


def _chosen(name: str, spans: Spans, first: str | None, last: str | None) -> list[str]:
    """The names of the spans from the first to the last."""
    there = list(spans.files)
    low = there[0] if first is None else spans.number(first)
    high = there[-1] if last is None else spans.number(last)
    chosen = spans.names(span for span in there if low <= span <= high)
    if not chosen:
        raise SpecError(
            f"backfill: expected spans from {spans.name(low)} to {spans.name(high)}, found none; "
            f"{name} has {spans.name(there[0])} to {spans.name(there[-1])}"
        )
    return chosen


def _digest(config: RunConfig) -> str:
    """A digest of the keys that change the models, by which a backfill finds its earlier steps."""
    return hashlib.sha256(config.model_dump_json(exclude=_MAKES_NO_OTHER_MODEL).encode()).hexdigest()[:8]


def _run(config: RunConfig, span: str, layout: Layout) -> Step:
    start = time.monotonic()
    config = config.model_copy(update={"spans": config.spans.model_copy(update={"span": span})})
    dataset, warnings = dataset_in_window(config.dataset, config.spans)
    run_id = local.new_run_id()
    with quiet(layout.logs(run_id) / local.LOG_FILE) as console:  # its console writes to the backfill's log
        result = local.run(config, dataset, run_id, console, warnings)
    return Step(
        span=span,
        run_id=run_id,
        seconds=round(time.monotonic() - start, 1),
        rows=sum(result.rows.values()),
        pushed=result.pushed,
        refusals=result.refusals,
        warnings=result.warnings,
        ids=result.ids,
        known_ids=result.known_ids,
    )


def _line(step: Step, done_before: bool) -> str:
    mark, took = ("[dim]=[/]", "done before") if done_before else ("[green]✓[/]", f"{step.seconds:.1f} s")
    if step.refusals:
        mark, came = "[red]✗[/]", f"refused: {'; '.join(step.refusals)}"
    else:
        came = f"version {Path(step.pushed or '').name}"
    line = f"  {mark} {step.span:<12} {took:>11} {step.rows:>12,} rows  [dim]{escape(came)}[/]"
    return "\n".join([line, *(local.warning_line(warning) for warning in step.warnings)])
