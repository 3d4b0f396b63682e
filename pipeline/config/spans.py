"""Which spans a run reads, and what those do that are missing, late or different."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, field_validator

from schema.spans import LATEST

Severity = Literal["warn", "error"]


class SpanParams(BaseModel):
    """For data that comes in spans, such as a file for each day."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    span: str = LATEST
    """The span that the run is for: a date, a number, or `latest`."""
    window: PositiveInt = 1
    """The number of spans that the run reads, up to that one."""
    missing: Severity = "warn"
    """The effect of a span that is missing in the middle of the window. A gap in the data seldom makes a model worse
    than an old model is."""
    max_age_days: NonNegativeInt | None = None
    """The largest age of the latest span, in days before today in UTC. By default any age is accepted."""
    late: Severity = "error"
    """The effect of an older span. The run would train on known data again, and nobody would notice."""
    max_drift: Mapping[str, Annotated[float, Field(gt=0, le=1)]] = {}
    """The largest distance between a column's values (`_label` for the label's) and those of the span before, by
    column: the Jensen-Shannon divergence, from 0 for the same to 1 for nothing in common. Comparators in the dataset's
    schema.pbtxt override it."""
    drift: Severity = "error"
    """The effect of a larger distance."""

    @field_validator("span", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        """YAML reads dates and numbers as such."""
        return str(value) if isinstance(value, datetime.date | int) and not isinstance(value, bool) else value
