"""The job of `rankline refresh`: newer items and contexts in a served model, without training."""

from __future__ import annotations

from rich.markup import escape

from components.run_result import RunResult
from pipeline.config.run import RunConfig
from pipeline.jobs.run import show_known
from pipeline.run import local
from pipeline.run.layout import Layout
from pipeline.run.spans import dataset_in_window
from pipeline.terminal.console import quiet


def refresh_and_show(config: RunConfig, silent: bool = False) -> RunResult:
    """Runs the pipeline that refreshes the latest blessed model, and shows its progress and result.

    Args:
        config: the configuration of the run; its `refresh` does not matter.
        silent: whether to show nothing.

    Returns:
        The result, also for a model that was refused.

    Raises:
        RanklineError: something stopped the run.
    """
    config = config.model_copy(update={"refresh": True})
    run_id = local.new_run_id()
    dataset, warnings = dataset_in_window(config.dataset, config.spans)
    layout = Layout(config.root, dataset.name)
    log = layout.logs(run_id) / local.LOG_FILE
    with quiet(log, silent) as console:
        console.print(f"[bold]Newer items[/] of [bold]{escape(dataset.name)}[/], run {run_id}")
        console.print(f"  [dim]log: {escape(str(log))}[/]")
        for warning in warnings:
            console.print(local.warning_line(warning))
        result = local.run(config, dataset, run_id, console, warnings)
        serving = escape(str(layout.serving))
        if result.refusals:
            console.print("\n[bold red]Refused[/]: the model is not pushed.")
            for reason in result.refusals:
                console.print(escape(f"  {reason}"))
        else:
            if "Pusher" in result.unchanged:
                console.print(f"\nVersion {result.version} in {serving} has these items already.")
            else:
                console.print(f"\n[bold green]Pushed[/] version {result.version} to {serving}")
            show_known(console, result)
    return result
