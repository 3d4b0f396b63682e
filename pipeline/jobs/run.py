"""The job of `rankline run`, with its output from the first line to the ranked titles."""

from __future__ import annotations

import contextlib

from rich.console import Console
from rich.markup import escape

from components.evaluation.metrics.registry import find
from components.run_result import RunResult
from components.schema_gen import SCHEMA_FILE
from pipeline.config.run import RunConfig
from pipeline.live.errors import LOADING_S
from pipeline.live.ranking import Ranker, ranking_table
from pipeline.live.server import server
from pipeline.run import local
from pipeline.run.layout import Layout
from pipeline.run.spans import dataset_in_window
from pipeline.terminal.console import busy, quiet
from schema.dataset import Dataset

_DEMO_USERS = 3
_DEMO_ITEMS = 5


def run_and_show(config: RunConfig, serve: bool, silent: bool = False) -> RunResult:
    """Runs the pipeline, shows its progress and result, and asks the served model for rankings.

    Args:
        config: the configuration of the run.
        serve: whether to start a server of the pushed model and ask it.
        silent: whether to show nothing.

    Returns:
        The result, also for a model that was refused.

    Raises:
        RanklineError: something stopped the run.
    """
    run_id = local.new_run_id()
    dataset, warnings = dataset_in_window(config.dataset, config.spans)
    layout = Layout(config.root, dataset.name)
    log = layout.logs(run_id) / local.LOG_FILE
    with contextlib.ExitStack() as stack:
        console = stack.enter_context(quiet(log, silent))
        console.print(
            f"[bold]{config.train.model}[/] on [bold]{escape(dataset.name)}[/], run {run_id}{_of_spans(dataset)}"
        )
        console.print(f"  [dim]log: {escape(str(log))}[/]")
        for warning in warnings:
            console.print(local.warning_line(warning))
        # The server takes seconds to start and waits for a first version, so it starts while the pipeline runs.
        target = stack.enter_context(server(layout, layout.logs(run_id) / "server.log")) if serve else None
        result = local.run(config, dataset, run_id, console, warnings)
        _show(console, result, dataset, layout, run_id)
        if target and dataset.spec.ranking and result.version is not None:
            _rank_for_some(console, dataset, target, result.version)
    return result


def _of_spans(dataset: Dataset) -> str:
    """The spans that the run reads, for the first line."""
    if dataset.spans is None:
        return ""
    first, last = dataset.window[0], dataset.window[-1]
    if first == last:
        return f", span {dataset.spans.name(last)}"
    return f", {len(dataset.window):,} spans from {dataset.spans.name(first)} to {dataset.spans.name(last)}"


def _show(console: Console, result: RunResult, dataset: Dataset, layout: Layout, run_id: str) -> None:
    console.print(f"\n[bold]Test split[/], {result.rows['test']:,} rows")
    group = dataset.spec.ranking.group if dataset.spec.ranking else ""
    for name, value in result.metrics.items():
        meaning = escape(find(name).meaning.format(group=group))
        console.print(f"  {name:<12} {value:.4f}  [dim]{meaning}[/]")
    if dataset.schema_path is None:
        inferred = layout.logs(run_id) / SCHEMA_FILE
        console.print(
            escape(
                f"\nNo {SCHEMA_FILE} in {dataset.folder}, so one was inferred from the train split: {inferred}. "
                "Once it says what you expect of the data, put it there."
            )
        )
    if result.unchanged:
        console.print(
            f"\nReused {len(result.unchanged)} components, since nothing they depend on has changed (see --no-cache)."
        )
    if result.unjudged and not result.refusals:
        console.print("\n[bold yellow]Blessed although it could not be judged[/] by")
        for line in result.unjudged:
            console.print(escape(f"  {line}"))
    serving = escape(str(layout.serving))
    if result.refusals:
        console.print("\n[bold red]Refused[/]: the model is not pushed.")
        for reason in result.refusals:
            console.print(escape(f"  {reason}"))
    elif "Pusher" in result.unchanged:
        console.print(f"\nVersion {result.version} in {serving} is this model already.")
    else:
        console.print(f"\n[bold green]Pushed[/] version {result.version} to {serving}")
    if not result.refusals:
        show_known(console, result)
    console.print(f"  [dim]report: {escape(local.relative(result.report or ''))}[/]")
    console.print(f"  [dim]artifacts: {escape(str(layout.artifacts))}[/]")


def show_known(console: Console, result: RunResult) -> None:
    """Shows what the served model knows beside its weights."""
    for name, known in result.known.items():
        console.print(f"  [dim]{name}: {known['count']:,} by their ids, {known['bytes'] / 1e6:,.1f} MB in memory[/]")
    if "items" in result.known and "contexts" not in result.known:
        console.print("  [dim]contexts: none, so requests have all columns of a context (see served_contexts)[/]")


def _rank_for_some(console: Console, dataset: Dataset, target: str, pushed: int) -> None:
    with Ranker(dataset, target) as ranker:
        with busy(console, "Waiting for the server"):
            version = ranker.wait_for(pushed, LOADING_S)
        console.print(f"\n[bold]Ranked over gRPC[/] by version {version} at {target}")
        for group in ranker.latest_groups(_DEMO_USERS):
            console.print(ranking_table(ranker.rank(group, _DEMO_ITEMS)))
