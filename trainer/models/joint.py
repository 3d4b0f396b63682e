"""What all models are: parts whose shares of the logit add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from schema.errors import SpecError
from schema.feature_spec import Part
from trainer.input_columns import InputColumn


class ModelPart(keras.layers.Layer):  # type: ignore[misc]
    """A layer from a dictionary of columns to its share of the logit, float32 [batch].

    Like all layers here it makes its weights at once and says that it is built, or else Keras would call it once more
    to find out.

    Args:
        columns: the columns that it looks at.
        name: for a person who reads a list of weights.
    """

    def __init__(self, columns: Sequence[InputColumn], name: str) -> None:
        super().__init__(name=name)
        self.columns = tuple(columns)


class Joint(keras.layers.Layer):  # type: ignore[misc]
    """The sum of the parts' logits and a bias, trained together by one loss (Cheng et al., 2016, equation 3).

    Args:
        parts: at least one.
    """

    def __init__(self, parts: Sequence[ModelPart]) -> None:
        super().__init__(name="model")
        self._parts = list(parts)
        self.columns = tuple(dict.fromkeys(column for part in parts for column in part.columns))
        self.bias = self.add_weight((), "zeros", name="bias")
        self.built = True

    def call(self, features: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The logit of P(y = 1): float32 [batch].

        Args:
            features: name -> tensor of each of `columns`, as `trainer.input_columns` describes them.
        """
        return tf.add_n([part(features) for part in self._parts]) + self.bias

    @property
    def wide_variables(self) -> list[keras.Variable]:
        """The weights of the wide part, which have an optimizer of their own."""
        return [variable for part in self._parts if part.name == "wide" for variable in part.trainable_variables]


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
