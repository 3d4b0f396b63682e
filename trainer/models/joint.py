"""The structure of all models: parts whose shares of the logits add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add

import keras
import tensorflow as tf

from schema.errors import SpecError, listing
from schema.feature_spec import Part
from trainer.input_columns import InputColumn
from trainer.inputs import Examples
from trainer.models.candidates import Candidates, CandidateVectors
from trainer.models.embeddings import FusedEmbedding, Vectors


class ModelPart(keras.layers.Layer):  # type: ignore[misc]
    """A layer from a dictionary of columns to its share of the logits, float32 [batch, units].

    Like all layers of this package, it makes its weights and sets `built` in its constructor. Otherwise Keras would
    call it an extra time to build it.

    Args:
        columns: the columns that the part sees.
        name: the part's name, which its weights' names contain.
    """

    is_wide: bool = False
    """Whether the part is linear in ids and crosses, with `train.wide_optimizer` as its optimizer."""

    def __init__(self, columns: Sequence[InputColumn], name: str) -> None:
        super().__init__(name=name)
        self.columns = tuple(columns)

    @property
    def embeddings(self) -> list[FusedEmbedding]:
        """The part's layers of embeddings, in the order in which they were made."""
        return [layer for layer in self._flatten_layers() if isinstance(layer, FusedEmbedding)]

    def ranked(self, candidates: Candidates) -> tf.Tensor:
        """The part's share of the logits of a context's candidates: float32 [1 or rows, units]."""
        return self({column.name: candidates.column(column) for column in self.columns})


class EmbeddedPart(ModelPart):
    """A part that sees its columns as vectors only, so that it has gradients by all its inputs.

    Args:
        columns: the columns that the part sees.
        vectors: the layer that makes vectors of the columns.
        name: the part's name, see `ModelPart`.
    """

    def __init__(self, columns: Sequence[InputColumn], vectors: Vectors, name: str) -> None:
        super().__init__(columns, name)
        self.vectors = vectors

    def call(self, features: Mapping[str, tf.Tensor], classes: tf.Tensor | None = None) -> tf.Tensor:
        """The part's share of the logits: float32 [batch, units]; see `Joint` for `classes`."""
        return self.of_vectors(self.vectors(features), classes)

    def of_vectors(self, vectors: tf.Tensor, classes: tf.Tensor | None = None) -> tf.Tensor:
        """The part's share of the logits, from the output of `vectors`: float32 [batch, units]."""
        raise NotImplementedError

    def ranked(self, candidates: Candidates) -> tf.Tensor:
        """The part's share of the logits of a context's candidates: float32 [rows, units]."""
        return self.of_vectors(self.vectors.shaped(CandidateVectors(self.vectors, candidates).whole))


class CountedPart(ModelPart):
    """A part whose weights are counted, not trained. It must be the only part of its model."""

    def count(self, train: Examples, held_out: Examples) -> float:
        """Sets the part's weights.

        Args:
            train: the examples to count.
            held_out: the examples for scaling the counts to logits.

        Returns:
            The model's bias.
        """
        raise NotImplementedError


class Joint(keras.layers.Layer):  # type: ignore[misc]
    """The sum of the parts' logits and a bias, trained together by one loss (Cheng et al., 2016, equation 3).

    Args:
        parts: the parts, at least one.
        units: the number of logits per row, which the model's head determines.
    """

    def __init__(self, parts: Sequence[ModelPart], units: int) -> None:
        super().__init__(name="model")
        self.parts = list(parts)
        self.columns = tuple(dict.fromkeys(column for part in parts for column in part.columns))
        self.bias = self.add_weight((units,), "zeros", name="bias")
        self.built = True

    def call(self, features: Mapping[str, tf.Tensor], classes: tf.Tensor | None = None) -> tf.Tensor:
        """The logits: float32 [batch, units].

        Args:
            features: the tensors of `columns` by name, as `trainer.input_columns` describes them.
            classes: int64 [some], the logits to return, as [batch, some]; by default all. Not for models that have only
                one logit.
        """
        bias = self.bias.value if classes is None else tf.gather(self.bias.value, classes)
        return tf.add_n([part(features, classes) for part in self.parts]) + bias

    def ranked(self, candidates: Candidates) -> tf.Tensor:
        """The logits of a context's candidates, equal to those of `call`: float32 [rows, units]."""
        logits = reduce(add, [part.ranked(candidates) for part in self.parts]) + self.bias.value
        return tf.broadcast_to(logits, [candidates.rows, self.bias.shape[0]])

    @property
    def is_counted(self) -> bool:
        """Whether the model is counted, with nothing to train."""
        return isinstance(self.parts[0], CountedPart)

    def count(self, train: Examples, held_out: Examples) -> None:
        """Sets the weights of a counted model."""
        (part,) = self.parts
        assert isinstance(part, CountedPart), "others are trained"
        self.bias.assign([part.count(train, held_out)])

    @property
    def embedding_tables(self) -> list[keras.Variable]:
        """The embeddings, without the weights of the wide part, which are embeddings of width 1."""
        return [layer.table for part in self.parts if not part.is_wide for layer in part.embeddings]

    @property
    def wide_tables(self) -> list[keras.Variable]:
        """The wide part's weights of ids and crosses."""
        return [layer.table for part in self.parts if part.is_wide for layer in part.embeddings]

    @property
    def wide_variables(self) -> list[keras.Variable]:
        """The weights of the wide part, which have their own optimizer."""
        return [variable for part in self.parts if part.is_wide for variable in part.trainable_variables]


def columns_of(part: Part, columns: Sequence[InputColumn]) -> list[InputColumn]:
    """The columns that a part sees.

    Raises:
        SpecError: there is no such column.
    """
    found = [column for column in columns if part in column.parts]
    if not found:
        raise SpecError(
            f"features: expected at least one feature or cross for the model's {part} part, "
            f"received none with {part!r} in 'parts'"
        )
    return found


def ranked_columns(model: str, columns: Sequence[InputColumn]) -> tuple[InputColumn, InputColumn]:
    """The columns of the ranking's group and item, for models that see nothing else.

    Raises:
        SpecError: there is no ranking, or one of the two is not a categorical feature.
    """
    by_role = {column.role: column for column in columns if column.role and column.kind == "categorical"}
    if len(by_role) < 2:
        raise SpecError(
            f"train.model: {model} needs a 'ranking' in features.yaml whose group and item are categorical features, "
            f"received {listing(by_role) if by_role else 'neither'}"
        )
    return by_role["group"], by_role["item"]


def one_logit(model: str, units: int) -> None:
    """Checks that a model with one logit per row fits the label.

    Raises:
        SpecError: the label needs more logits.
    """
    if units != 1:
        raise SpecError(
            f"train.model: expected a model for a label with several outputs, received {model!r}, which has one; "
            "take for example 'wide_deep' or 'dcn_v2'"
        )
