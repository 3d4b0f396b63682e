"""Runs the spans of a backfill in order, and records each, so that a killed backfill continues where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from schema.errors import RanklineError

Judge = Callable[[str, str, str, Path], None]
"""Judges the first model and the served one on a span, given the span's name, and writes a file."""


@dataclass(frozen=True)
class Step:
    """The result of one span.

    Attributes:
        span: the name of the span.
        run_id: the name of its run.
        seconds: the duration of the run.
        rows: the number of rows in its window.
        pushed: the folder of the pushed version; None if the model was refused.
        refusals: the reasons why the model was refused.
        warnings: the problems of the data that have not stopped the run.
        ids: the number of ids with weights in the model's tables; 0 if the model has not begun with another one's
            weights.
        known_ids: the number of ids whose weights come from that other model.
    """

    span: str
    run_id: str
    seconds: float
    rows: int
    pushed: str | None
    refusals: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    ids: int = 0
    known_ids: int = 0


def walk(
    spans: Sequence[str],
    folder: Path,
    judge: Judge,
    run: Callable[[str], Step],
) -> Iterator[tuple[Step, bool]]:
    """Judges the existing models on each span, and then trains the next model on it.

    So each model is judged on rows that came after all rows that it has seen.

    Args:
        spans: the names of the spans, in order.
        folder: the folder of the records.
        judge: the function that judges; it is called for each span after the first model.
        run: the function that runs the pipeline for a span.

    Yields:
        The result of each span, and whether an earlier call has made it.

    Raises:
        RanklineError: something stopped a run; the message names the span.
    """
    first = served = None
    for span in spans:
        record = folder / f"{span}.json"
        done = record.is_file()
        if done:
            step = Step(**json.loads(record.read_text()))
        else:
            if first and served:
                judge(span, first, served, scores_of(folder, span))
            try:
                step = run(span)
            except RanklineError as error:
                raise RanklineError(
                    f"span {span}: {error}\nThe spans before it are kept: the same command continues after them."
                ) from error
            partial = record.with_suffix(".partial")
            partial.write_text(json.dumps(asdict(step), indent=1) + "\n")
            partial.rename(record)
        first, served = first or step.pushed, step.pushed or served
        yield step, done


def scores_of(folder: Path, span: str) -> Path:
    """The file of a span's scores; it is missing for the spans before the first model."""
    return folder / f"{span}.npz"
