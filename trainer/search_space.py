"""What a search for better training parameters may vary, and how long it takes."""

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
"""What does not make one model better: models are compared by `rankline compare`, seeds differ by chance."""


class Range(BaseModel):
    """The numbers between two bounds, both included; whole numbers where both bounds are whole."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min: int | float
    """The smallest value."""
    max: int | float
    """The largest value."""
    scale: Literal["linear", "log"] = "linear"
    """The scale of the choice. With `log`, for learning rates and penalties, each power of ten is tried as often as
    another."""
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
        """Whether only whole numbers are meant."""
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
    """A search by KerasTuner, which trains with other parameters and takes the best."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trials: PositiveInt = 20
    """The number of trainings. Those of a former search of the same space count."""
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
        """What is wrong with the space, a line each: keys that are no parameters, values that these cannot have.

        Args:
            params: what is varied.
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
    """Parameters with some of them changed.

    Args:
        params: the others.
        values: dotted key of `TrainParams` -> value.

    Raises:
        ValidationError: a value that the parameter cannot have.
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
    """A trial's values in KerasTuner's terms -> dotted key of `TrainParams` -> value."""
    return {key: json.loads(value) if isinstance(value, str) else value for key, value in values.items()}
