"""What a run gave, to which each component adds what it knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


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
    items: int = 0
    """The items that the served model knows by their ids."""
    item_bytes: int = 0
    """The memory that these take in the served model."""
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
