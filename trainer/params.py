"""How a model is made and trained: everything about it that is not in the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)


class _Params(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Ftrl(_Params):
    """Follow the regularized leader: weights of ids that do not help stay exactly 0.

    Gradients here are those of a batch's mean loss, so one row's is at most 1 / batch_size.
    """

    name: Literal["ftrl"] = "ftrl"
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
    lazy: bool = True
    """False: every step moves every row of a table, as the plain rule says. Rare ids then go on moving for many steps
    after each row that had them, and a step costs as much as the tables are large; most published results were made
    so."""


class Constant(_Params):
    """The learning rates stay what they are."""

    name: Literal["constant"] = "constant"


class Plateau(_Params):
    """After each epoch that was not the best, all learning rates fall."""

    name: Literal["plateau"] = "plateau"
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """By which the rates are multiplied. `patience` has to be at least 2 for this to matter."""


class Cosine(_Params):
    """The rates rise from nearly 0 during the warm-up, then fall along half a cosine, to 0 after the last epoch."""

    name: Literal["cosine"] = "cosine"
    warmup_epochs: NonNegativeFloat = 0.0
    """0 to 1: the larger the batch, the longer."""


def _no_bare_name(value: object) -> object:
    if isinstance(value, str):
        raise ValueError(f"expected keys and values such as {{name: {value}}}")
    return value


Optimizer = Annotated[Ftrl | Adagrad | Adam, Field(discriminator="name"), BeforeValidator(_no_bare_name)]
Schedule = Annotated[Constant | Plateau | Cosine, Field(discriminator="name"), BeforeValidator(_no_bare_name)]


class TrainParams(_Params):
    """Parameters of one training run; the defaults suit data of 10⁵ rows."""

    model: str = "wide_deep"
    """Name in the registry of `trainer.models`."""
    epochs: PositiveInt = 20
    """The most passes over the train split."""
    patience: PositiveInt = 2
    """Stop after so many epochs in a row without a better AUC on the eval split. The best epoch's weights are kept
    in any case."""
    batch_size: PositiveInt = 1024
    """Rows per step: 512 to 4096."""
    seed: NonNegativeInt = 0
    """Of initial weights, order of rows and dropout: on a CPU the same seed gives the same model."""
    embedding_width: PositiveInt | None = None
    """Of every column's embedding, instead of what the feature spec says or its rule gives. 8 to 32. Models that
    multiply embeddings with each other (`fm`, `deepfm`, `mf`) need one width, and take 16 where none is given."""
    embed_numbers: bool = False
    """Whether a number enters the deep part as a learned vector times the number, like an id, instead of as it is."""
    hidden_units: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (128, 64)
    """Widths of the deep part's hidden layers, from the embeddings up."""
    activation: Literal["relu", "gelu", "silu", "tanh"] = "relu"
    """Of the hidden layers."""
    batch_norm: bool = False
    """Whether each hidden layer's outputs are normalised over the batch before the activation. For batches of 1,000
    rows and more."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of each hidden layer's outputs that is left out in a training step: 0 to 0.5, more for less data."""
    cross_layers: PositiveInt = 3
    """Of the cross network: n layers make crosses of up to n + 1 columns. 1 to 4."""
    cross_structure: Literal["parallel", "stacked"] = "parallel"
    """Whether the MLP stands beside the cross network, over the same embeddings, or on top of it."""
    cross_rank: PositiveInt = 32
    """Of the matrices of `dcn_mix`: about a quarter of the width of its inputs."""
    cross_experts: PositiveInt = 4
    """Of each layer of `dcn_mix`: 1 to 8."""
    wide_optimizer: Optimizer = Ftrl()
    """For the wide part."""
    deep_optimizer: Optimizer = Adam()
    """For everything else."""
    schedule: Schedule = Constant()
    """What becomes of the learning rates while training."""
    embedding_l2: NonNegativeFloat = 0.0
    """λ of a penalty λ/2 · Σw² on the embeddings, and on the wide part's weights of ids, unless they are FTRL's, which
    has an l2 of its own: on the rows that a batch touches, with `lazy: false` on all rows. 1e-6 to 1e-4, more for more
    epochs and rarer ids."""
    other_labels_weight: NonNegativeFloat = 1.0
    """Of the loss of each of the spec's `other_labels`, beside the first one's: 0.1 to 1."""
    sampled_classes: PositiveInt | None = None
    """For a label of very many classes: a training step compares the true one with so many others, drawn at random, and
    not with all. 100 to 1000."""
    calibration: Literal["none", "platt", "isotonic"] = "none"
    """A rising function, fitted on the eval split and kept in the served model, that corrects the probabilities of a
    label of two classes without changing any order: a line for few rows, or a curve, see `trainer.calibration`."""
    clip_norm: PositiveFloat | None = None
    """All gradients together are scaled down to this norm where they exceed it: 1 to 100."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Momentum of an exponential moving average of the weights, which is judged and kept instead of the weights
    themselves: 0.99 to 0.9999. Costs a pass over all tables in each step."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """In which hidden layers and cross networks multiply. Weights, embeddings and the loss stay float32. bfloat16 is
    faster on processors that have it (AVX-512 BF16, AMX) and on GPUs."""
    xla: bool = False
    """Whether XLA compiles the hidden layers for training. For GPUs; on a processor it was slower."""
    distribution: Literal["none", "mirrored", "multi_worker"] = "none"
    """`mirrored`: every GPU of this machine has a copy of the model and its share of each batch. `multi_worker`: so has
    every machine that TF_CONFIG names, see `trainer.worker`; gradients of tables travel whole, so that it is for dense
    parts that are large and tables that are not."""
    tables: Literal["device", "host"] = "device"
    """`host`: embeddings, the wide part's weights of ids, and their optimizers' slots stay in the host's memory, where
    a GPU's is too small for them; what a batch looks up is sent to the GPU, and its gradients back."""
    warm_start: bool = False
    """Whether the model begins with the weights of the latest blessed model that was trained on other data, see
    `trainer.warm_start`. For logs that grow day by day; 1 to 3 epochs then suffice."""
    memory_mb: PositiveInt = 4096
    """A split whose decoded columns take more is not kept in memory but read anew in each epoch."""

    @model_validator(mode="after")
    def _one_place_for_tables(self) -> Self:
        if self.tables == "host" and self.distribution != "none":
            raise ValueError(
                f"expected 'tables: device' with 'distribution: {self.distribution}', where each has a copy, "
                "received host"
            )
        return self

    @field_validator("wide_optimizer", mode="before")
    @classmethod
    def _ftrl_by_default(cls, value: object) -> object:
        return {"name": "ftrl", **value} if isinstance(value, Mapping) else value

    @field_validator("deep_optimizer", mode="before")
    @classmethod
    def _adam_by_default(cls, value: object) -> object:
        return {"name": "adam", **value} if isinstance(value, Mapping) else value
