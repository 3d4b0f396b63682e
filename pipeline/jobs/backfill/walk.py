"""Goes through spans in their order, and keeps what was done, so that it goes on where it was killed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from schema.errors import RanklineError

Judge = Callable[[str, str, str, Path], None]
"""Judges on a span, by its name, the first model and the served one, and writes a file."""


@dataclass(frozen=True)
class Step:
    """What came of one span.

    Attributes:
        span: its name.
        run_id: of the run for it.
        seconds: that it took.
        rows: of its window.
        pushed: the folder of the version that it has pushed; None if its model was refused.
        refusals: why.
        warnings: what is wrong with the data, and was let pass.
        ids: ids that have weights in the model's tables; 0 if it has not begun with another model.
        known_ids: those whose weights were taken over from that one.
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
    """Judges on each span the models that there are, and then makes the next one of it.

    Each model is thus judged on what came after all that it has seen.

    Args:
        spans: names, in their order.
        folder: where what was done is kept.
        judge: is called for each span but those before the first model.
        run: runs the pipeline for a span.

    Yields:
        What came of each span, and whether that was done before.

    Raises:
        RanklineError: what stopped a run, and for which span.
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
    """Where a span's scores are kept; there are none for those before the first model."""
    return folder / f"{span}.npz"
