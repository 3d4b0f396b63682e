"""The parameters of a hyperparameter search: its space, its algorithm and the number of its trials."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from schema.errors import nearest
from schema.mistakes import mistakes_of
from trainer.params import TrainParams

_NOT_TUNED = ("model", "seed", "memory_mb", "distribution", "warm_start")
"""The parameters that a search must not vary, since they do not make one model better: `rankline compare` compares
models, and seeds differ only by chance."""


class Range(BaseModel):
    """The numbers between two bounds, both included; whole numbers where both bounds are whole."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min: int | float
    """The smallest value."""
    max: int | float
    """The largest value."""
    scale: Literal["linear", "log"] = "linear"
    """The scale of the choice. With `log`, which suits learning rates and penalties, each power of ten is tried equally
    often."""
    step: PositiveFloat | None = None
    """The distance between two values, counted from `min`; with `scale: log` their ratio. By default all values are
    tried."""

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.min >= self.max:
            raise ValueError(f"expected min below max, received {self.min} and {self.max}")
        if self.scale == "log" and self.min <= 0:
            raise ValueError(f"expected min above 0 with 'scale: log', received {self.min}")
        if self.whole and self.step is not None and not self.step.is_integer():
            raise ValueError(f"expected a whole step between whole bounds, received {self.step}")
        return self

    @property
    def whole(self) -> bool:
        """Whether the range has whole numbers only."""
        return isinstance(self.min, int) and isinstance(self.max, int)

    @property
    def ends(self) -> Sequence[int | float]:
        """The bounds."""
        return self.min, self.max


def _dimension(key: str, value: object) -> object:
    if isinstance(value, Range) or (isinstance(value, list | tuple) and len(value) > 1):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(
            f"{key}: expected a list of at least two values, or {{min: ..., max: ...}}, received {value!r}"
        )
    try:
        return Range.model_validate(value)
    except ValidationError as error:
        raise ValueError("\n".join(f"{key}: {line}" for line in mistakes_of(error, Range))) from None


class SearchParams(BaseModel):
    """A search by KerasTuner, which trains with different parameters and takes the best."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trials: PositiveInt = 20
    """The number of training runs, including those of a former search of the same space."""
    algorithm: Literal["bayesian", "random", "grid"] = "bayesian"
    """The choice of the next trial: by the results so far (a Gaussian process), at random, or all combinations in
    turn."""
    space: Annotated[Mapping[str, Range | tuple[Any, ...]], Field(min_length=1)]
    """The values to try, by dotted key of `train`, such as `deep_optimizer.learning_rate`: a list of values, or a range
    `{min: …, max: …}`."""

    @field_validator("space", mode="before")
    @classmethod
    def _lists_or_ranges(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        return {key: _dimension(key, dimension) for key, dimension in value.items()}

    def problems(self, params: TrainParams) -> list[str]:
        """The problems of the space, a line each: keys that are not parameters, and values that are not allowed.

        Args:
            params: the parameters that the search varies.
        """
        found = []
        if params.distribution == "multi_worker":
            found.append("expected 'distribution: none' or 'mirrored' to search, received 'multi_worker'")
        tunable = [name for name in TrainParams.model_fields if name not in _NOT_TUNED]
        for key, dimension in self.space.items():
            name = key.partition(".")[0]
            if name not in tunable:
                found.append(
                    f"{key}: expected a parameter of 'train' to tune, received {key!r}{nearest(name, tunable)}"
                )
                continue
            for value in dimension.ends if isinstance(dimension, Range) else dimension:
                try:
                    tuned(params, {key: value})
                except ValidationError as error:
                    found += [f"{line} (by tune.space.{key})" for line in mistakes_of(error, TrainParams)]
        return list(dict.fromkeys(found))


def tuned(params: TrainParams, values: Mapping[str, Any]) -> TrainParams:
    """Replaces some parameters.

    Args:
        params: the parameters.
        values: the new values, by dotted key of `TrainParams`.

    Raises:
        ValidationError: a parameter cannot have its new value.
    """
    content: dict[str, Any] = params.model_dump()
    for key, value in values.items():
        *parents, name = key.split(".")
        inner = content
        for parent in parents:
            inner = inner[parent] if isinstance(inner.get(parent), dict) else inner.setdefault(parent, {})
        inner[name] = value
    return TrainParams.model_validate(content)


def chosen(values: Mapping[str, Any]) -> dict[str, Any]:
    """Converts a trial's values from KerasTuner to values by dotted key of `TrainParams`."""
    return {key: json.loads(value) if isinstance(value, str) else value for key, value in values.items()}
