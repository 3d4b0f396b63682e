"""Runs the whole chain on this machine, one node after the other, and shows its progress."""

from __future__ import annotations

import datetime
import json
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from components.descriptions import DESCRIPTIONS, Outputs
from components.run_result import RunResult
from components.schema_gen import SCHEMA_FILE
from pipeline.config.run import RunConfig
from pipeline.run.graph import create_pipeline
from pipeline.run.layout import Layout
from pipeline.run.lock import locked
from pipeline.run.node import CompiledPipeline, Outcome
from pipeline.terminal.console import busy
from schema.dataset import Dataset
from schema.errors import RanklineError

LOG_FILE = "run.log"
"""The name of the log file in a run's log folder."""

_OF_A_FULL_DISK = ("No space left on device", "Disk quota exceeded", "database or disk is full")
"""The messages of the system and of SQLite for a full disk, which the libraries' own messages contain."""

_NO_ROOM = 1 << 20
"""The free bytes below which a disk is taken to be full."""


def new_run_id() -> str:
    """The UTC time to the microsecond, in a form that sorts by time and is a valid folder name.

    ML Metadata knows a run by this name alone, and runs on several datasets may start in the same millisecond.
    """
    return datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S.%f")


def run(config: RunConfig, dataset: Dataset, run_id: str, console: Console, warnings: Sequence[str] = ()) -> RunResult:
    """Runs the pipeline.

    Args:
        config: the configuration of the run.
        dataset: the dataset, with the files of the run's spans.
        run_id: the name of the run; its log folder exists.
        console: the console that shows progress.
        warnings: earlier warnings, which the result lists first.

    Returns:
        The result, also for a model that was refused.

    Raises:
        RanklineError: something stopped the run. The message is for the user.
    """
    layout, result = Layout(config.root, dataset.name), RunResult(run_id, warnings=list(warnings))
    with locked(layout, run_id):
        for _ in _launches(config, dataset, result, console):
            pass
    summary = layout.logs(run_id) / "summary.json"
    summary.write_text(json.dumps(asdict(result), indent=2) + "\n")
    return result


def prepare(config: RunConfig, dataset: Dataset, run_id: str, console: Console) -> dict[str, str]:
    """Runs the pipeline up to the transformed examples, for trainings outside of it.

    Takes the arguments of `run`, except for `warnings`, and raises its exceptions.

    Returns:
        The folders of `examples`, `transformed_examples` and `transform_graph`.
    """
    folders: dict[str, str] = {}
    with locked(Layout(config.root, dataset.name), run_id):
        for outcome in _launches(config, dataset, RunResult(run_id), console):
            folders.update({key: artifacts[0].uri for key, artifacts in outcome.outputs.items() if artifacts})
            if "transformed_examples" in folders:
                break
    return folders


def _launches(config: RunConfig, dataset: Dataset, result: RunResult, console: Console) -> Iterator[Outcome]:
    """Launches each node when the caller asks for it; shows and records the outcome."""
    logs = Layout(config.root, dataset.name).logs(result.run_id)
    pipeline = CompiledPipeline(create_pipeline(config, dataset), result.run_id)
    for node_id in pipeline.node_ids():
        start = time.monotonic()
        with busy(console, node_id):
            try:
                outcome = pipeline.launch(node_id)
            except Exception as error:
                console.print(f"  [red]✗[/] {node_id}")
                raise _explained(node_id, error, logs / LOG_FILE) from error
        result.seconds[node_id] = round(time.monotonic() - start, 2)
        if outcome.cached:
            result.unchanged.append(node_id)
        outputs = {key: artifacts[0] for key, artifacts in outcome.outputs.items() if artifacts}
        DESCRIPTIONS[node_id].summarise(result, outputs)
        if dataset.schema_path is None and "schema" in outputs:
            shutil.copy(Path(outputs["schema"].uri) / SCHEMA_FILE, logs / SCHEMA_FILE)
        console.print(_progress_line(node_id, outputs, result))
        for warning in outcome.warnings:
            result.warnings.append(warning)
            console.print(warning_line(warning))
        if "best_hyperparameters" in outputs:
            best = ", ".join(f"{key}={json.dumps(value)}" for key, value in result.tuned.items())
            console.print(f"      [dim]{escape(best)}[/]")
        yield outcome


def _explained(node_id: str, error: Exception, log: Path) -> RanklineError:
    """The error for the user: a refusal itself, or one sentence about any other error."""
    logging.getLogger(__name__).exception("%s failed", node_id, exc_info=error)
    if isinstance(error, RanklineError):
        return error
    lines = str(error).strip().splitlines() or [""]
    more = f"\nThe log has more: {log}"
    # SQLite may only say that there is no transaction to commit, since it has rolled that back.
    is_full = shutil.disk_usage(log.parent).free < _NO_ROOM
    if is_full or any(words in str(error) for words in _OF_A_FULL_DISK):
        return RanklineError(
            f"{node_id}: expected room on the disk, received none: {lines[0]}\n"
            f"Make some, and run the same command again: it goes on with {node_id}.{more}"
        )
    return RanklineError(f"{node_id} failed: {type(error).__name__}: {lines[0]}{more}")


def warning_line(warning: str) -> str:
    """A warning as a line for the console."""
    return f"  [yellow]![/] {escape(warning)}"


def _progress_line(node_id: str, outputs: Outputs, result: RunResult) -> str:
    description = DESCRIPTIONS[node_id]
    if node_id in result.unchanged:
        mark, took = "[dim]=[/]", "unchanged"
    elif result.refusals and description.is_skipped(outputs):
        mark, took = "[dim]-[/]", "skipped"
    else:
        mark, took = "[green]✓[/]", f"{result.seconds[node_id]:6.1f} s"
    rows = sum(result.rows[split] for split in description.splits)
    # Sorted, because the database returns them in any order, and every run should show the same one.
    uri = outputs[min(outputs)].uri if outputs else ""
    return f"  {mark} {node_id:<20} {took:>9} {f'{rows:,} rows' if rows else '':>16}  [dim]{escape(relative(uri))}[/]"


def relative(path: str) -> str:
    """A path relative to the current folder; unchanged if it is elsewhere."""
    try:
        return str(Path(path).relative_to(Path.cwd())) if path else ""
    except ValueError:
        return path
