"""The spans that a run reads, and the effects of missing, late and different ones."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, field_validator

from schema.spans import LATEST

Severity = Literal["warn", "error"]


class SpanParams(BaseModel):
    """The spans that the run reads, for data that comes in spans such as a file for each day."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    span: str = LATEST
    """The span that the run is for: a date, a number, or `latest`."""
    window: PositiveInt = 1
    """The number of spans that the run reads; `span` is the last of them."""
    missing: Severity = "warn"
    """The effect of a span that is missing in the middle of the window. By default the run continues, since a gap in
    the data seldom makes a new model worse than the old one."""
    max_age_days: NonNegativeInt | None = None
    """The largest age of the latest span, in days before today in UTC. By default any age is accepted."""
    late: Severity = "error"
    """The effect of an older span. By default it stops the run, which would only train on known data again."""
    max_drift: Mapping[str, Annotated[float, Field(gt=0, le=1)]] = {}
    """The largest distance between a column's values and those of the span before, by column (`_label` for the label):
    the Jensen-Shannon divergence, from 0 for equal distributions to 1 for disjoint ones. Comparators in the dataset's
    schema.pbtxt override it."""
    drift: Severity = "error"
    """The effect of a larger distance."""

    @field_validator("span", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        """Makes text of a date or a number, which YAML reads as such."""
        return str(value) if isinstance(value, datetime.date | int) and not isinstance(value, bool) else value
