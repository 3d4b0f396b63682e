"""Runs the whole chain on this machine, one node after the other, and says how it goes."""

from __future__ import annotations

import datetime
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from components.example_gen import read_summary
from components.properties import CHECKED_PROPERTY, METRICS_PROPERTY, UNJUDGED_PROPERTY, noted
from components.pusher import UNCHANGED_PROPERTY
from components.report.document import PAGE_FILE
from components.schema_gen import FILE_NAME as SCHEMA_FILE
from components.tuner import best_of
from pipeline.config.run import RunConfig
from pipeline.run.graph import create_pipeline
from pipeline.run.layout import Layout
from pipeline.run.lock import locked
from pipeline.run.node import CompiledPipeline, Outcome
from pipeline.terminal.console import busy
from schema.dataset import Dataset
from schema.errors import RanklineError
from schema.feature_spec import SPLITS, Split
from trainer.task import HISTORY_FILE

SPLITS_READ: Mapping[str, Sequence[Split]] = {
    "ExampleGen": SPLITS,
    "StatisticsGen": SPLITS,
    "Transform": ("train", "eval"),
    "Tuner": ("train",),
    "Trainer": ("train",),
    "Evaluator": ("test",),
}
"""The splits whose rows a component goes through."""

LOG_FILE = "run.log"
"""In a run's log folder."""

_OF_A_FULL_DISK = ("No space left on device", "Disk quota exceeded", "database or disk is full")
"""What the system, and SQLite, say of it, however the libraries wrap it."""


@dataclass
class RunResult:
    """What a run gave, as it is also written to `summary.json` beside the log."""

    run_id: str
    warnings: list[str] = field(default_factory=list)
    """What is wrong with the data or the model, and was let pass."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    unjudged: list[str] = field(default_factory=list)
    """The metrics that could not be judged over the whole test split, and why not."""
    tuned: Mapping[str, Any] = field(default_factory=dict)
    """What a search has chosen: key of `train` -> value."""
    ids: int = 0
    """Ids that the model's tables have weights for, if it has begun with another model."""
    known_ids: int = 0
    """Those whose weights are that one's."""
    pushed: str | None = None
    """The pushed version's folder."""
    report: str | None = None
    """The page about the run."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Of each component; those of unchanged ones are what finding that out took."""
    rows: dict[str, int] = field(default_factory=dict)
    """Of each split."""
    unchanged: list[str] = field(default_factory=list)
    """Components whose former outputs were taken; with the Pusher among them, the model was the newest version."""

    @property
    def version(self) -> int | None:
        """The pushed version; None where the model was refused."""
        return int(Path(self.pushed).name) if self.pushed else None


def new_run_id() -> str:
    """The UTC time, to the millisecond, in a form that sorts and is a good folder name."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3]


def run(config: RunConfig, dataset: Dataset, run_id: str, console: Console, warnings: Sequence[str] = ()) -> RunResult:
    """Runs the pipeline.

    Args:
        config: how.
        dataset: on what.
        run_id: names the run; its log folder exists.
        console: where progress is shown.
        warnings: what there was to warn of before.

    Returns:
        What it gave, also for a model that was refused.

    Raises:
        RanklineError: what stopped the run, in the user's terms.
    """
    layout, result = Layout(config.root, dataset.name), RunResult(run_id, warnings=list(warnings))
    with locked(layout, run_id):
        for _ in _launches(config, dataset, result, console):
            pass
    summary = layout.logs(run_id) / "summary.json"
    summary.write_text(json.dumps(asdict(result), indent=2) + "\n")
    return result


def prepare(config: RunConfig, dataset: Dataset, run_id: str, console: Console) -> dict[str, str]:
    """Runs the pipeline as far as the examples are transformed, for trainings outside of it.

    Args and Raises: as of `run`.

    Returns:
        The folders of `examples`, `transformed_examples` and `transform_graph`.
    """
    folders = {}
    with locked(Layout(config.root, dataset.name), run_id):
        for node_id, outcome in _launches(config, dataset, RunResult(run_id), console):
            folders.update({key: artifacts[0].uri for key, artifacts in outcome.outputs.items() if artifacts})
            if node_id == "Transform":
                break
    return folders


def _launches(
    config: RunConfig, dataset: Dataset, result: RunResult, console: Console
) -> Iterator[tuple[str, Outcome]]:
    """Launches the nodes in turn, each when it is asked for; shows and notes what became of it."""
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
        _collect(result, node_id, outcome, logs, inferred=dataset.schema_path is None)
        console.print(_progress_line(node_id, outcome, result))
        for warning in outcome.warnings:
            result.warnings.append(warning)
            console.print(warning_line(warning))
        if node_id == "Tuner":
            best = ", ".join(f"{key}={json.dumps(value)}" for key, value in result.tuned.items())
            console.print(f"      [dim]{escape(best)}[/]")
        yield node_id, outcome


def _explained(node_id: str, error: Exception, log: Path) -> RanklineError:
    """A refusal as it is; anything else as one sentence."""
    logging.getLogger(__name__).exception("%s failed", node_id, exc_info=error)
    if isinstance(error, RanklineError):
        return error
    lines = str(error).strip().splitlines() or [""]
    more = f"\nThe log has more: {log}"
    if any(words in str(error) for words in _OF_A_FULL_DISK):
        return RanklineError(
            f"{node_id}: expected room on the disk, received none: {lines[0]}\n"
            f"Make some, and run the same command again: it goes on with {node_id}.{more}"
        )
    return RanklineError(f"{node_id} failed: {type(error).__name__}: {lines[0]}{more}")


def _collect(result: RunResult, node_id: str, outcome: Outcome, logs: Path, inferred: bool) -> None:
    """Takes over what the run's summary says about the node's outputs."""
    artifact = {key: artifacts[0] for key, artifacts in outcome.outputs.items() if artifacts}
    if node_id == "ExampleGen":
        result.rows = {split: counts["rows"] for split, counts in read_summary(artifact["examples"].uri).items()}
    elif node_id == "SchemaGen" and inferred:
        shutil.copy(Path(artifact["schema"].uri) / SCHEMA_FILE, logs / SCHEMA_FILE)
    elif node_id == "Tuner":
        result.tuned = best_of(artifact["best_hyperparameters"])
    elif node_id == "Trainer":
        history = json.loads((Path(artifact["model"].uri) / HISTORY_FILE).read_text())
        if warm_start := history["warm_start"]:
            result.ids, result.known_ids = warm_start["all_rows"], warm_start["rows"]
    elif node_id == "Evaluator":
        evaluation = artifact["evaluation"]
        result.metrics = json.loads(evaluation.get_string_custom_property(METRICS_PROPERTY))
        result.refusals += outcome.refusals
        result.unjudged = noted(evaluation, UNJUDGED_PROPERTY)
    elif node_id == "InfraCheck":
        result.refusals += outcome.refusals
    elif node_id == "Report":
        result.report = os.path.join(artifact["report"].uri, PAGE_FILE)
    elif node_id == "Pusher" and artifact["pushed_model"].get_int_custom_property("pushed"):
        result.pushed = artifact["pushed_model"].get_string_custom_property("pushed_destination")
        if artifact["pushed_model"].get_int_custom_property(UNCHANGED_PROPERTY):
            result.unchanged.append(node_id)


def warning_line(warning: str) -> str:
    """How people are warned."""
    return f"  [yellow]![/] {escape(warning)}"


def _progress_line(node_id: str, outcome: Outcome, result: RunResult) -> str:
    if node_id in result.unchanged:
        mark, took = "[dim]=[/]", "unchanged"
    elif result.refusals and _is_skipped(node_id, outcome):
        mark, took = "[dim]-[/]", "skipped"
    else:
        mark, took = "[green]✓[/]", f"{result.seconds[node_id]:6.1f} s"
    rows = sum(result.rows[split] for split in SPLITS_READ.get(node_id, ()))
    # Sorted, because the database gives them in any order, and every run should show the same one.
    uri = next((artifacts[0].uri for _, artifacts in sorted(outcome.outputs.items()) if artifacts), "")
    return f"  {mark} {node_id:<20} {took:>9} {f'{rows:,} rows' if rows else '':>16}  [dim]{escape(relative(uri))}[/]"


def _is_skipped(node_id: str, outcome: Outcome) -> bool:
    """Whether a component has done nothing, since the model was refused."""
    if node_id == "InfraCheck":  # limits are measured nevertheless
        return all(not each.get_int_custom_property(CHECKED_PROPERTY) for each in outcome.outputs["blessing"])
    return node_id == "Pusher"


def relative(path: str) -> str:
    """A path as people write it who are where this process is."""
    try:
        return str(Path(path).relative_to(Path.cwd())) if path else ""
    except ValueError:
        return path
