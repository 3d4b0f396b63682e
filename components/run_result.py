"""The result of a run, to which each component adds its part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class RunResult:
    """The result of a run, which is also written to `summary.json` beside the log."""

    run_id: str
    warnings: list[str] = field(default_factory=list)
    """Problems in the data or the model that did not stop the run."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    unjudged: list[str] = field(default_factory=list)
    """The metrics that could not be judged over the whole test split, and the reasons."""
    tuned: Mapping[str, Any] = field(default_factory=dict)
    """The values that the hyperparameter search has chosen, by key of `train`."""
    ids: int = 0
    """The number of ids in the model's tables; 0 if training did not start from an earlier model."""
    known_ids: int = 0
    """The number of ids whose weights came from the earlier model."""
    known: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """The `count` of `items` and `contexts` that the served model knows by their ids, and the `bytes` of their
    numbers."""
    pushed: str | None = None
    """The pushed version's folder."""
    report: str | None = None
    """The page about the run."""
    seconds: dict[str, float] = field(default_factory=dict)
    """The time that each component took; for an unchanged component, the time to find its cached outputs."""
    rows: dict[str, int] = field(default_factory=dict)
    """The number of rows of each split."""
    unchanged: list[str] = field(default_factory=list)
    """The components whose cached outputs were reused. The Pusher is among them if the model was already the newest
    version."""

    @property
    def version(self) -> int | None:
        """The pushed version; None if the model was refused."""
        return int(Path(self.pushed).name) if self.pushed else None
