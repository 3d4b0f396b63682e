"""The thresholds and limits in a run's configuration that a model must keep to be pushed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from components.evaluation.metrics.registry import METRICS, ListMetric, names
from schema.errors import SpecError, listing, nearest
from schema.feature_spec import FeatureSpec

MIN_ROWS = 100
"""The default of the smallest number of rows that judge a model or a slice."""

Confidence = Annotated[float, Field(ge=0, lt=1)]
SlicePattern = tuple[tuple[str, str | None], ...]
"""A pattern of slices: a pair of column and value for each of its columns; None stands for every value."""


class Bounds(BaseModel):
    """The bounds of a metric, both inclusive."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    min: float | None = None
    """The smallest value. A model below it is refused."""
    max: float | None = None
    """The largest value. A model above it is refused."""
    max_drop: NonNegativeFloat | None = None
    """The largest loss against the last blessed model's metric. Not for calibration, which is best at 1."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"expected min up to max, received {self.min:g} and {self.max:g}")
        return self


class SliceBounds(Bounds):
    """The bounds of a metric on the rows of a slice. A slice of one value inherits the bounds of all values."""

    confidence: Confidence | None = None
    """The confidence of the interval. By default it is the metric's."""
    min_rows: NonNegativeInt | None = None
    """The smallest number of rows that judge a slice; the run tells which slices have fewer. By default it is 100."""
    min_of_class: NonNegativeInt | None = None
    """The smallest number of positive rows and of negative rows that judge a slice. By default it is that of `gate`."""


class Threshold(Bounds):
    """The bounds of a metric over all rows and by slice. A model that breaks one is refused."""

    # A model that is exactly as good as a bound misses it every other time, by chance alone. So a bound on the number
    # itself would decide by chance. A bound that is missed within noise gives a warning.
    confidence: Confidence = 0.95
    """The confidence of the metric's interval. A model is refused only if the whole interval is beyond the bound, so
    that noise alone refuses no model. With 0 the number alone counts."""
    slices: Mapping[str, SliceBounds] = {}
    """The bounds by slice. A key is `column` or `column = value`, or several of these, separated by commas, for slices
    by several columns."""


DEFAULT_THRESHOLDS: Mapping[str, Threshold] = {
    name: Threshold.model_validate(metric.bounds) for name, metric in METRICS.items() if metric.bounds
}
"""The default thresholds by metric, for the metrics that a dataset has."""


class GateParams(BaseModel):
    """The number of rows that it takes to judge a model, and the verdict if there are fewer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_rows: NonNegativeInt = MIN_ROWS
    """The smallest number of test rows that judge a model. Slices have a bound of their own."""
    # With n rows of the rarer class, the 95 % interval of an AUC reaches up to .57/√n either way, and that of a
    # calibration 196/√n percent. For n = 30 that is .10 and 36 %, about the distance of a good model to the default
    # bounds.
    min_of_class: NonNegativeInt = 30
    """The smallest number of positive rows and of negative rows that judge a model, for a label of two classes; also
    the default for slices."""
    unjudged: Literal["push", "keep", "refuse"] = "keep"
    """The verdict on a model that cannot be judged over the whole test split: `push` blesses it with a warning,
    `refuse` never does, and `keep` blesses it with a warning only if there is no blessed model yet."""


class Limits(BaseModel):
    """The limits of a served model, measured by the infra check in the server that it starts, on its machine."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    latency_ms: PositiveFloat | None = None
    """The longest time of an answer, in milliseconds, at `percentile`."""
    percentile: Annotated[float, Field(gt=0, le=100)] = 99
    """The percentile of the answers' times that `latency_ms` bounds."""
    candidates: PositiveInt = 100
    """The number of rows in a request: the candidates of a ranking."""
    size_mb: PositiveFloat | None = None
    """The largest size of the SavedModel's files together, in megabytes (10⁶ bytes)."""

    @property
    def are_set(self) -> bool:
        """Whether there is any limit."""
        return self.latency_ms is not None or self.size_mb is not None


def applicable(thresholds: Mapping[str, Threshold], spec: FeatureSpec) -> dict[str, Threshold]:
    """The thresholds of the metrics that a dataset has.

    Args:
        thresholds: the thresholds by metric, of those in `METRICS`.
        spec: the resolved feature spec.

    Raises:
        SpecError: a threshold other than a default is for a metric or slices that the dataset does not have.
    """
    metrics = names(spec.label.kind, ranked=spec.ranking is not None)
    for name, threshold in thresholds.items():
        if name not in metrics:
            if threshold == DEFAULT_THRESHOLDS.get(name) or threshold == Threshold():
                continue
            if isinstance(METRICS.get(name), ListMetric) and spec.label.kind == "binary":
                raise SpecError(
                    f"thresholds.{name}: expected a dataset with 'ranking' in its features.yaml, received none"
                )
            raise SpecError(
                f"thresholds: expected metrics of a label of this kind, {listing(metrics)}, received {name!r}"
            )
        for key in threshold.slices:
            pattern(key, spec, f"thresholds.{name}.slices")
    return {name: thresholds[name] for name in metrics if name in thresholds}


def pattern(key: str, spec: FeatureSpec, where: str) -> SlicePattern:
    """Parses a key of `Threshold.slices`.

    Args:
        key: the key, such as `device`, `device = phone`, or, for slices by two columns, `city, device = phone`.
        spec: the spec, which has the slices.
        where: the place of the key, for errors.

    Raises:
        SpecError: the dataset has no such slices.
    """
    meant = []
    for columns in spec.slices:
        parts = [rf"\s*{re.escape(column)}\s*(?:=\s*(.*?)\s*)?" for column in columns]
        if match := re.fullmatch(",".join(parts), key, re.DOTALL):
            meant.append(tuple(zip(columns, match.groups(), strict=True)))
    if len(meant) > 1:
        raise SpecError(
            f"{where}: expected one of the dataset's slices, received {key!r}, which can be of "
            f"{' or '.join(repr(', '.join(column for column, _ in each)) for each in meant)}; rename a column"
        )
    if meant:
        return meant[0]
    column = re.split(r"[=,]", key)[0].strip()
    known = [", ".join(columns) for columns in spec.slices]
    if column in spec.columns and column not in known:
        mend = f"; add {column!r} to 'slices' in the dataset's features.yaml"
    else:
        mend = nearest(column, known)
    expected = (
        f"slices of the dataset ({listing(known)}), such as 'COLUMN' or 'COLUMN = VALUE'"
        if known
        else ("a dataset with 'slices' in its features.yaml")
    )
    raise SpecError(f"{where}: expected {expected}, received {key!r}{mend}")
