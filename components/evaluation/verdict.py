"""The data classes of a verdict: metrics with intervals, over all rows and by slice, and the conditions on them.

`components.evaluation.gate` decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

Interval = tuple[float, float] | None
"""The confidence interval of a value, by default of `components.evaluation.bootstrap.CONFIDENCE`; None if unknown."""


class Fact(BaseModel):
    """A finding that can be stored as JSON."""

    # JSON has no NaN: a missing value is None.
    model_config = ConfigDict(extra="forbid", frozen=True)


class Estimate(Fact):
    """A number that is estimated from a sample of rows, with its interval."""

    value: float | None
    interval: Interval = None


class Metric(Fact):
    """A metric of the test split."""

    name: str
    better: Literal["higher", "lower", "neither"]
    estimate: Estimate
    baseline: float | None = None
    """The value of the model that this one was compared with."""
    change: Estimate | None = None
    """The difference to that model, on the same rows."""


class Condition(Fact):
    """One condition of the gate, and its outcome."""

    what: str
    """The measured quantity, such as `auc`, `auc of device = phone` or `latency`."""
    expected: str
    """The bound, such as `at least 0.55`."""
    is_overall: bool = False
    """Whether the condition is about the whole test split."""
    is_change: bool = False
    """Whether the condition is about the difference to the last blessed model."""
    received: float | None = None
    interval: Interval = None
    """The interval, of the configured confidence. A slice has one only if the bound is missed."""
    room: float | None = None
    """The distance to the bound; negative if the bound is missed."""
    outcome: Literal["kept", "within noise", "not judged", "broken"]
    """The outcome. Only a broken condition refuses the model."""
    reason: str = ""
    """The reason for the outcome, one sentence; empty if the condition is kept."""


class Gate(Fact):
    """All conditions of the Evaluator, or of the infra check."""

    conditions: Sequence[Condition]
    unjudged: Sequence[str] = []
    """The metrics that could not be judged over the whole test split, and the reasons; empty if all were judged."""
    remarks: Sequence[str] = ()
    """Remarks on the verdict, a sentence each, such as comparisons that were not made."""

    @property
    def refusals(self) -> list[str]:
        """The reasons to refuse the model; empty for a good one."""
        return [each.reason for each in self.conditions if each.outcome == "broken"]


class Latency(Fact):
    """The infra check's latency: of its server, on its machine, for a client with one request at a time."""

    signature: str
    candidates: int
    """The number of rows in a request."""
    requests: int
    percentiles: Mapping[str, float]
    """The latency in milliseconds, by percentile, such as `p99`."""


class Slice(Fact):
    """The metrics of a slice: the test rows with the same value in one or more columns."""

    name: str
    rows: int
    groups: int | None
    """The number of the ranking's groups with rows in the slice; None without a ranking."""
    metrics: Sequence[Metric]
    few: bool
    """Whether the slice has too few rows or groups to judge it."""
