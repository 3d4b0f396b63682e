"""From raw rows to a model's columns, by the transform graph that the training data went through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf
import tensorflow_transform as tft

from schema.feature_spec import FeatureSpec
from trainer import preprocessing, transform_sources, vocabulary
from trainer.input_columns import InputColumn
from trainer.raw_columns import raw_columns

Texts = Mapping[str, tf.Tensor | tf.SparseTensor]
"""Columns as strings, see `trainer.preprocessing.texts`."""
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
        self._spec = spec
        self._columns = tuple(columns)
        self._vocabularies = transform_output.vocabulary_file_by_name(vocabulary.ASSET)
        self._transform = transform_sources.layer(transform_output)

    def __call__(self, raw: RawTensors) -> dict[str, tf.Tensor]:
        """Raw columns, as `parsed` or `to_rows` give them -> `columns`, as `trainer.input_columns` describes them."""
        return self._dense(self._transform(raw))

    def _dense(self, transformed: RawTensors) -> dict[str, tf.Tensor]:
        return {
            column.name: tf.sparse.to_dense(transformed[column.name], default_value=-1)
            if column.kind == "multivalent"
            else transformed[column.name]
            for column in self._columns
        }

    def pair_vocabularies(self) -> dict[str, list[str]]:
        """The tokens of those of the columns that cross both sides, in the order of their ids."""
        names = {column.name for column in self._columns}
        vocabularies = vocabulary.read(self._vocabularies) if self._vocabularies else {}
        return {
            cross.name: vocabularies.get(cross.name, [])
            for cross in self._spec.crosses
            if cross.name in names and self._spec.side(cross.name) == "pair"
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
        raw, rows = self._rows(columns)
        return self(raw), rows

    def of_one_side(self, columns: Mapping[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], Texts]:
        """The inputs of a ranking of which only one side is known.

        Args:
            columns: the raw columns of that side, as those of `candidates`.

        Returns:
            `columns`, where the other side's columns have one row of missing values; and those of the given columns
            that are crossed, as texts.
        """
        missing = {name: column.missing_row() for name, column in self.raw.items() if name not in columns}
        raw, _ = self._rows({**missing, **columns})
        transformed = self._transform(raw)
        crossed = {column for cross in self._spec.crosses for column in cross.columns if column in columns}
        buckets = {name: transformed[f"{name}_bucket"] for name in crossed if f"{name}_bucket" in transformed}
        texts = preprocessing.texts(self._spec, {name: raw[name] for name in columns if name in crossed}, buckets)
        return self._dense(transformed), texts

    def _rows(self, columns: Mapping[str, tf.Tensor]) -> tuple[RawTensors, tf.Tensor]:
        """Raw columns as the transform graph takes them, and the number of rows."""
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
        return raw, tf.reduce_max(tf.stack(rows))
