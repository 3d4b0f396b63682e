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
    """Which the run is for: a date, a number, or `latest`."""
    window: PositiveInt = 1
    """So many spans are read, up to that one."""
    missing: Severity = "warn"
    """What a span that is not there does, in the middle of the window: a gap in the data seldom makes a model worse
    than an old model is."""
    max_age_days: NonNegativeInt | None = None
    """So many days before today, in UTC, may the latest span be. None: any."""
    late: Severity = "error"
    """What one that is older does: the run would train on what was trained on before, and nobody would notice."""
    max_drift: Mapping[str, Annotated[float, Field(gt=0, le=1)]] = {}
    """Column -> by how much its values may differ from those in the span before: Jensen-Shannon divergence, from 0 for
    the same to 1 for nothing in common. Comparators in the dataset's schema.pbtxt go before it."""
    drift: Severity = "error"
    """What a larger difference does."""

    @field_validator("span", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        """YAML reads dates and numbers as such."""
        return str(value) if isinstance(value, datetime.date | int) and not isinstance(value, bool) else value
