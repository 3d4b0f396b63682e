"""How a model is made and trained: everything about it that is not in the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
)


class _Params(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Ftrl(_Params):
    """Follow the regularized leader: weights of ids that do not help stay exactly 0.

    Gradients here are those of a batch's mean loss, so one row's is at most 1 / batch_size.
    """

    learning_rate: PositiveFloat = 0.05
    """0.01 to 0.1: the lower end beside a deep part, which needs little help, the upper end alone."""
    initial_accumulator: NonNegativeFloat = 0.0001
    """Squares of gradients counted before the first one: the larger, the slower rare ids are learned."""
    l1: NonNegativeFloat = 0.02
    """A weight is 0 while its gradients' sum is below this: 1 to 50 times 1 / batch_size."""
    l2: NonNegativeFloat = 0.0
    """Shrinks all weights, those of rare ids most: 0 to 1."""


class Adagrad(_Params):
    """AdaGrad: each weight's rate falls with what it was already moved. The choice of the Wide & Deep paper."""

    name: Literal["adagrad"] = "adagrad"
    learning_rate: PositiveFloat = 0.05
    """0.01 to 0.1."""
    initial_accumulator: NonNegativeFloat = 0.001
    """Squares of gradients counted before the first one."""


class Adam(_Params):
    """Adam, which on table rows moves only those that a batch touches."""

    name: Literal["adam"] = "adam"
    learning_rate: PositiveFloat = 0.001
    """0.0005 to 0.002."""


class TrainParams(_Params):
    """Parameters of one training run; the defaults suit data of 10⁵ rows."""

    model: str = "wide_deep"
    """Name in the registry of `trainer.models`."""
    epochs: PositiveInt = 20
    """The most passes over the train split."""
    patience: NonNegativeInt = 2
    """Stop after so many epochs in a row without a better AUC on the eval split. The best epoch's weights are kept
    in any case."""
    batch_size: PositiveInt = 1024
    """Rows per step: 512 to 4096."""
    seed: NonNegativeInt = 0
    """Of initial weights, order of rows and dropout: on a CPU the same seed gives the same model."""
    hidden_units: tuple[PositiveInt, ...] = (128, 64)
    """Widths of the deep part's hidden layers, from the embeddings up."""
    activation: Literal["relu", "gelu", "silu", "tanh"] = "relu"
    """Of the hidden layers."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of each hidden layer's outputs that is left out in a training step: 0 to 0.5, more for less data."""
    wide_optimizer: Ftrl = Ftrl()
    """For the wide part."""
    deep_optimizer: Annotated[Adam | Adagrad, Field(discriminator="name")] = Adam()
    """For everything else."""
    memory_mb: PositiveInt = 4096
    """A split whose decoded columns take more is not kept in memory but read anew in each epoch."""

    @field_validator("deep_optimizer", mode="before")
    @classmethod
    def _adam_by_default(cls, value: object) -> object:
        return {"name": "adam", **value} if isinstance(value, Mapping) else value
