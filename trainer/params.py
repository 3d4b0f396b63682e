"""The parameters that build and train a model."""

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
    """The learning rate. Useful values are 0.01 to 0.1: the lower end beside a deep part, which needs little help, the
    upper end alone."""
    initial_accumulator: NonNegativeFloat = 0.0001
    """The sum of squared gradients at the start: the larger, the slower the weights of rare ids move."""
    l1: NonNegativeFloat = 0.02
    """The L1 penalty: a weight is 0 while the sum of its gradients is below this. Useful values are 1 to 50 times
    1 / batch_size."""
    l2: NonNegativeFloat = 0.0
    """The L2 penalty, which shrinks all weights, those of rare ids most. Useful values are 0 to 1."""


class Adagrad(_Params):
    """AdaGrad: the rate of each weight falls with the updates that it has had. The Wide & Deep paper uses it."""

    name: Literal["adagrad"] = "adagrad"
    learning_rate: PositiveFloat = 0.05
    """The learning rate. Useful values are 0.01 to 0.1."""
    initial_accumulator: NonNegativeFloat = 0.001
    """The sum of squared gradients at the start."""


class Adam(_Params):
    """Adam, which by default updates only the table rows that a batch uses."""

    name: Literal["adam"] = "adam"
    learning_rate: PositiveFloat = 0.001
    """The learning rate. Useful values are 0.0005 to 0.002."""
    lazy: bool = True
    """Whether a step updates only the table rows that its batch uses. With `false` each step updates every row, as
    Adam's own rule does. The embeddings of rare ids then keep moving for many steps after each row that has them, and
    the cost of a step grows with the tables. Most published results use `false`."""


class Constant(_Params):
    """The learning rates do not change."""

    name: Literal["constant"] = "constant"


class Plateau(_Params):
    """After each epoch that was not the best, all learning rates fall."""

    name: Literal["plateau"] = "plateau"
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """The factor for the rates. It has an effect only with a `patience` of at least 2."""


class Cosine(_Params):
    """The rates rise from nearly 0 during the warm-up, then fall along half a cosine, to 0 after the last epoch."""

    name: Literal["cosine"] = "cosine"
    warmup_epochs: NonNegativeFloat = 0.0
    """The length of the warm-up in epochs. Useful values are 0 to 1: the larger the batch, the longer."""


def _no_bare_name(value: object) -> object:
    if isinstance(value, str):
        raise ValueError(f"expected keys and values such as {{name: {value}}}")
    return value


Optimizer = Annotated[Ftrl | Adagrad | Adam, Field(discriminator="name"), BeforeValidator(_no_bare_name)]
Schedule = Annotated[Constant | Plateau | Cosine, Field(discriminator="name"), BeforeValidator(_no_bare_name)]


class EmbeddingParams(_Params):
    """The parameters of the embeddings of all models but `wide` and `cooccurrence`."""

    embedding_width: PositiveInt | None = None
    """The width of every column's embedding, in place of the width that the dataset's description sets or its rule
    yields. Useful values are 8 to 32. Models that multiply embeddings with each other (`fm`, `deepfm`, `mf`) need one
    width and use 16 by default."""
    embed_numbers: bool = False
    """Whether a number enters the deep part as a learned vector times the number, like an id, or unchanged."""


class HiddenParams(_Params):
    """The parameters of the MLP, in all models that have one."""

    hidden_units: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (128, 64)
    """The widths of the deep part's hidden layers, from the embeddings up."""
    activation: Literal["relu", "gelu", "silu", "tanh"] = "relu"
    """The activation of the hidden layers."""
    batch_norm: bool = False
    """Batch normalisation of each hidden layer's outputs, before the activation. It suits batches of 1,000 rows and
    more."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """The share of each hidden layer's outputs that a training step drops. Useful values are 0 to 0.5, more for less
    data."""


class CrossParams(_Params):
    """The parameters of the cross network, in `dcn`, `dcn_v2`, `dcn_mix`, `cross_deep` and `wide_cross`."""

    cross_layers: PositiveInt = 3
    """The number of layers of the cross network: n layers make crosses of up to n + 1 columns. Useful values are 1 to
    4."""
    cross_structure: Literal["parallel", "stacked"] = "parallel"
    """The place of the MLP: beside the cross network, over the same embeddings, or on top of it."""


class MixtureParams(_Params):
    """The parameters of the cross layers of `dcn_mix` alone."""

    cross_rank: PositiveInt = 32
    """The rank of the matrices of `dcn_mix`, about a quarter of the width of its inputs."""
    cross_experts: PositiveInt = 4
    """The number of experts in each layer of `dcn_mix`. Useful values are 1 to 8."""


class TrainParams(EmbeddingParams, HiddenParams, CrossParams, MixtureParams):
    """The parameters of a training run. The defaults suit data of 10⁵ rows."""

    model: str = "wide_deep"
    """The name of the model, see [Models](../guides/models.md)."""
    epochs: PositiveInt = 20
    """The largest number of passes over the train split."""
    patience: PositiveInt = 2
    """The number of epochs in a row without a better AUC on the eval split after which training stops. The model always
    has the weights of the best epoch."""
    batch_size: PositiveInt = 1024
    """The number of rows per step. Useful values are 512 to 4096."""
    seed: NonNegativeInt = 0
    """The seed of initial weights, row order and dropout. On a CPU the same seed gives the same model."""
    wide_optimizer: Optimizer = Ftrl()
    """The optimizer of the wide part."""
    deep_optimizer: Optimizer = Adam()
    """The optimizer of all other weights."""
    schedule: Schedule = Constant()
    """The schedule of the learning rates."""
    embedding_l2: NonNegativeFloat = 0.0
    """The λ of a penalty λ/2 · Σw² on the embeddings, and on the wide part's weights of ids unless FTRL trains them,
    which has its own `l2`. The penalty applies to the rows that a batch uses, with `lazy: false` to all rows. Useful
    values are 1e-6 to 1e-4, more for more epochs and rarer ids."""
    other_labels_weight: NonNegativeFloat = 1.0
    """The weight of the loss of each of the dataset's `other_labels`, beside a weight of 1 for the first label. Useful
    values are 0.1 to 1."""
    sampled_classes: PositiveInt | None = None
    """The number of classes, drawn at random, that a training step compares with the true one, for a label of very many
    classes; without it a step compares all. Useful values are 100 to 1000."""
    calibration: Literal["none", "platt", "isotonic"] = "none"
    """A rising function that corrects the probabilities of a label of two classes without changing any order: `platt`
    is a line, for few rows, `isotonic` a curve. It is fitted on the eval split and is part of the served model."""
    clip_norm: PositiveFloat | None = None
    """The largest norm of all gradients together; larger ones are scaled down to it. Useful values are 1 to 100."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The momentum of an exponential moving average of the weights, which takes the place of the weights in the final
    model. Useful values are 0.99 to 0.9999. It costs a pass over all tables in each step."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """The precision of matrix products in hidden layers and cross networks. Weights, embeddings and the loss stay
    float32. bfloat16 is faster on processors that have it (AVX-512 BF16, AMX) and on GPUs."""
    xla: bool = False
    """Whether XLA compiles the hidden layers for training. This suits GPUs; on a processor it was slower."""
    distribution: Literal["none", "mirrored", "multi_worker"] = "none"
    """The devices that train. With `mirrored` every GPU of this machine has a copy of the model and a share of each
    batch. With `multi_worker` so does every machine that `TF_CONFIG` names; each runs `python -m trainer.worker`, and
    gradients of tables are sent as a whole, which suits large dense parts and small tables."""
    tables: Literal["device", "host"] = "device"
    """The memory for embeddings, the wide part's weights of ids and their optimizers' slots. `host` is for tables that
    do not fit into a GPU: the rows that a batch looks up go to the GPU, and their gradients come back."""
    warm_start: bool = False
    """Whether training starts from the weights of the latest blessed model that was trained on other data. This suits
    logs that grow day by day; 1 to 3 epochs are then enough."""
    memory_mb: PositiveInt = 4096
    """The memory, in megabytes, for a split's decoded columns. A larger split is read again in each epoch."""

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
