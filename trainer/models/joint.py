"""What all models are: parts whose shares of the logit add up."""

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

    Like all layers here it makes its weights at once and says that it is built, or else Keras would call it once more
    to find out.

    Args:
        columns: the columns that it looks at.
        name: for a person who reads a list of weights.
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
    """A part that sees its columns as vectors only, and so has a gradient by all that it sees.

    Args:
        columns: the columns that it looks at.
        vectors: makes vectors of them.
        name: see `ModelPart`.
    """

    def __init__(self, columns: Sequence[InputColumn], vectors: Vectors, name: str) -> None:
        super().__init__(columns, name)
        self.vectors = vectors

    def call(self, features: Mapping[str, tf.Tensor], classes: tf.Tensor | None = None) -> tf.Tensor:
        """The part's share of the logits: float32 [batch, units]; see `Joint` for `classes`."""
        return self.of_vectors(self.vectors(features), classes)

    def of_vectors(self, vectors: tf.Tensor, classes: tf.Tensor | None = None) -> tf.Tensor:
        """The same, of what `vectors` gives."""
        raise NotImplementedError

    def ranked(self, candidates: Candidates) -> tf.Tensor:
        """The part's share of the logits of a context's candidates: float32 [rows, units]."""
        return self.of_vectors(self.vectors.shaped(CandidateVectors(self.vectors, candidates).whole))


class CountedPart(ModelPart):
    """A part whose weights are counted, not trained; the only part of its model."""

    def count(self, train: Examples, held_out: Examples) -> float:
        """Sets the part's weights.

        Args:
            train: to count.
            held_out: to bring the counts onto the scale of logits.

        Returns:
            The model's bias.
        """
        raise NotImplementedError


class Joint(keras.layers.Layer):  # type: ignore[misc]
    """The sum of the parts' logits and a bias, trained together by one loss (Cheng et al., 2016, equation 3).

    Args:
        parts: at least one.
        units: logits per row, as many as the model's head asks for.
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
            features: name -> tensor of each of `columns`, as `trainer.input_columns` describes them.
            classes: int64 [some], which logits to give, [batch, some], where not all are asked for; of a model that can
                have several.
        """
        bias = self.bias.value if classes is None else tf.gather(self.bias.value, classes)
        return tf.add_n([part(features, classes) for part in self.parts]) + bias

    def ranked(self, candidates: Candidates) -> tf.Tensor:
        """The logits of a context's candidates, as `call` gives them: float32 [rows, units]."""
        logits = reduce(add, [part.ranked(candidates) for part in self.parts]) + self.bias.value
        return tf.broadcast_to(logits, [candidates.rows, self.bias.shape[0]])

    @property
    def is_counted(self) -> bool:
        """Whether the model has nothing to train."""
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
        """The weights of the wide part, which have an optimizer of their own."""
        return [variable for part in self.parts if part.is_wide for variable in part.trainable_variables]


def columns_of(part: Part, columns: Sequence[InputColumn]) -> list[InputColumn]:
    """The columns that a part sees.

    Raises:
        SpecError: there is none.
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
        SpecError: there is no ranking, or one of the two is no categorical feature.
    """
    by_role = {column.role: column for column in columns if column.role and column.kind == "categorical"}
    if len(by_role) < 2:
        raise SpecError(
            f"train.model: {model} needs a 'ranking' in features.yaml whose group and item are categorical features, "
            f"received {listing(by_role) if by_role else 'neither'}"
        )
    return by_role["group"], by_role["item"]


def one_logit(model: str, units: int) -> None:
    """Says that a model has no more than one logit per row.

    Raises:
        SpecError: more are asked for.
    """
    if units != 1:
        raise SpecError(
            f"train.model: expected a model for a label with several outputs, received {model!r}, which has one; "
            "take for example 'wide_deep' or 'dcn_v2'"
        )
