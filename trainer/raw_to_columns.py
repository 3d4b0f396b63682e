"""From raw rows to a model's columns, by the transform graph that the training data went through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf
import tensorflow_transform as tft

from schema.feature_spec import FeatureSpec
from trainer import transform_sources
from trainer.input_columns import InputColumn
from trainer.raw_columns import raw_columns

RawTensors = Mapping[str, tf.Tensor | tf.SparseTensor]


class RawToColumns(tf.Module):  # type: ignore[misc]
    """The transform graph with what is before and behind it; tracks the graph's lookup tables.

    Args:
        spec: the resolved feature spec.
        transform_output: holds the transform graph.
        columns: those to make.
    """

    def __init__(
        self, spec: FeatureSpec, transform_output: tft.TFTransformOutput, columns: Sequence[InputColumn]
    ) -> None:
        super().__init__()
        self.raw = raw_columns(spec)
        sides = {name: spec.side(name) for name in self.raw}
        self._sides = {side: [name for name in sides if sides[name] == side] for side in sides.values()}
        self._columns = tuple(columns)
        self._transform = transform_sources.layer(transform_output)

    def __call__(self, raw: RawTensors) -> dict[str, tf.Tensor]:
        """Raw columns, as `parsed` or `to_rows` give them -> `columns`, as `trainer.input_columns` describes them."""
        transformed = self._transform(raw)
        return {
            column.name: tf.sparse.to_dense(transformed[column.name], default_value=-1)
            if column.kind == "multivalent"
            else transformed[column.name]
            for column in self._columns
        }

    def parsed(self, examples: tf.Tensor) -> RawTensors:
        """Serialized tf.Examples, string [rows], from which any column may be absent -> raw columns."""
        features = {name: column.feature for name, column in self.raw.items()}
        parsed: RawTensors = tf.io.parse_example(examples, features)
        return parsed

    def candidates(self, columns: Mapping[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """The inputs of a ranking, as `trainer.models.candidates` wants them.

        Args:
            columns: raw columns as plain tensors, [rows] or [rows, any], or of one row that stands for all. Columns of
                items may be absent if no cross with the context needs them; what is made of them then has no rows.

        Returns:
            `columns`, where those of a side (`schema.features.Side`) all have `rows` rows or all have one; and `rows`,
            int32.
        """
        sizes = {
            name: tf.shape(values)[0] if self.raw[name].multivalent else tf.size(values)
            for name, values in columns.items()
        }
        # There is nothing to rank without a context, nor without candidates.
        some = tf.cast(tf.reduce_min(tf.stack(list(sizes.values()))) > 0, tf.int32)
        raw = {name: column.nothing() for name, column in self.raw.items() if name not in columns}
        rows = []
        for names in self._sides.values():
            if given := [name for name in names if name in columns]:
                rows.append(some * tf.reduce_max(tf.stack([sizes[name] for name in given])))
                raw |= {name: self.raw[name].to_rows(columns[name], rows[-1]) for name in given}
        return self(raw), tf.reduce_max(tf.stack(rows))
