"""The verdict on a model, and what it rests on: metrics with intervals, over all rows and by slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

Interval = tuple[float, float] | None
"""Where a value may lie, with `components.evaluation.bootstrap.CONFIDENCE`; None where that cannot be said."""


class Fact(BaseModel):
    """What was found, as JSON keeps it."""

    # No NaN in JSON: what has no value is None.
    model_config = ConfigDict(extra="forbid", frozen=True)


class Estimate(Fact):
    """A number that would be another one on other rows."""

    value: float | None
    interval: Interval = None


class Metric(Fact):
    """A metric of the test split."""

    name: str
    better: Literal["higher", "lower", "neither"]
    estimate: Estimate
    baseline: float | None = None
    """Of the model that this one was compared with."""
    change: Estimate | None = None
    """Against that model, on the same rows."""


class Condition(Fact):
    """One condition of the gate, and what came of it."""

    what: str
    """Such as: auc; auc of device = phone; latency."""
    expected: str
    """Such as: at least 0.55."""
    is_overall: bool = False
    """Whether it is about the whole test split."""
    is_change: bool = False
    """Whether it is about the difference to the last blessed model."""
    received: float | None = None
    interval: Interval = None
    """With the confidence that was asked for; of slices only where the bound is missed."""
    room: float | None = None
    """How far from the bound on the right side of it; negative on the wrong one."""
    outcome: Literal["kept", "within noise", "not judged", "broken"]
    """Of those that are not kept only a broken one refuses the model."""
    reason: str = ""
    """One sentence; empty where it is kept."""


class Gate(Fact):
    """All conditions of the Evaluator, or of the infra check."""

    conditions: Sequence[Condition]
    unjudged: Sequence[str] = []
    """Metrics that could not be judged over the whole test split, and why not; empty where all were."""
    remarks: Sequence[str] = ()
    """What else is to be known of the verdict, a sentence each: what was not compared or asked."""

    @property
    def refusals(self) -> list[str]:
        """Every reason to refuse the model; none for a good one."""
        return [each.reason for each in self.conditions if each.outcome == "broken"]


class Latency(Fact):
    """How long the server of the infra check took to answer, on its machine, to a client with one request at a time."""

    signature: str
    candidates: int
    """Rows of a request."""
    requests: int
    percentiles: Mapping[str, float]
    """Such as p99 -> milliseconds."""


class Slice(Fact):
    """The rows of the test split that are alike in something."""

    name: str
    rows: int
    groups: int | None
    """Of the ranking, that have such rows; None without a ranking."""
    metrics: Sequence[Metric]
    few: bool
    """Whether these are too few to tell."""
