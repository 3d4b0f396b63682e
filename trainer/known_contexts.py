"""The latest context of each group of a ranking inside a served model, so that a request may name only the group."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from schema.feature_spec import FeatureSpec
from trainer.item_table import Array, read_table
from trainer.lookup_rows import kept, memory_of, with_one_more
from trainer.raw_columns import raw_column

ContextTable = Mapping[str, Array]
"""The columns of contexts as plain tensors, the group's among them: [groups], or [groups, any]. The groups differ."""


def read(path: str, spec: FeatureSpec) -> ContextTable | None:
    """Reads the latest contexts that ExampleGen found.

    Args:
        path: a Parquet file with a row per group; it is missing if there are too many.
        spec: the resolved feature spec.

    Returns:
        The contexts; None if there is no such file.
    """
    table = read_table(path)
    if table is None:
        return None
    return {name: raw_column(spec.columns[name]).from_arrow(table[name]) for name in table.column_names}


class KnownContexts(tf.Module):  # type: ignore[misc]
    """Contexts by their groups.

    Args:
        spec: the resolved feature spec, of a ranking whose group is an input of the model.
        contexts: at least one.
    """

    def __init__(self, spec: FeatureSpec, contexts: ContextTable) -> None:
        super().__init__()
        assert spec.ranking is not None, "asked for rankings only"
        self.group = spec.ranking.group
        """The column that a request must have."""
        groups = contexts[self.group]
        self.size = len(groups)
        """The number of groups."""
        initializer = tf.lookup.KeyValueTensorInitializer(
            groups, np.arange(self.size), raw_column(spec.columns[self.group]).dtype, tf.int64
        )
        self._places = tf.lookup.StaticHashTable(initializer, default_value=self.size)
        # The last row is for groups that are not known: all is missing.
        self._columns = {
            name: kept(with_one_more(values, raw_column(spec.columns[name]).missing))
            for name, values in contexts.items()
            if name != self.group
        }

    @property
    def bytes(self) -> int:
        """The memory that the numbers take, without texts."""
        return memory_of(self._columns.values())

    def completed(self, context: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The context with the latest values of the columns that a request leaves out.

        Args:
            context: the raw columns as plain tensors. One without rows was left out.
        """
        places = self._places.lookup(context[self.group])

        def column(name: str, given: tf.Tensor) -> tf.Tensor:
            return tf.cond(tf.shape(given)[0] > 0, lambda: given, lambda: tf.gather(self._columns[name], places))

        return {name: column(name, given) if name in self._columns else given for name, given in context.items()}
