"""Ids as vectors: the embeddings of many columns in few tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from trainer.input_columns import InputColumn

_COMBINE = {
    "sum": tf.math.unsorted_segment_sum,
    "mean": tf.math.unsorted_segment_mean,
    "sqrtn": tf.math.unsorted_segment_sqrt_n,
}

_STDDEV = 0.01
"""Of initial embeddings: small, so that ids that were hardly seen have little say."""


class FusedEmbedding(keras.layers.Layer):  # type: ignore[misc]
    """The embeddings of several columns, all of one width, by a single gather from a single table.

    Each of the columns' tables has a range of rows of its own in the fused one; columns that name the same table
    share its range. One gather, and in training one sparse update, cost less than one of each per column.

    Args:
        columns: categorical and multi-valent columns.
        width: of an embedding.
        initializer: of the embeddings.
    """

    def __init__(
        self,
        columns: Sequence[InputColumn],
        width: int,
        initializer: str | keras.initializers.Initializer,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self._univalent = [column for column in columns if column.kind == "categorical"]
        self._multivalent = [column for column in columns if column.kind == "multivalent"]
        sizes: dict[str, int] = {}
        for column in columns:
            sizes[column.table] = max(column.size, sizes.get(column.table, 0))
        self._first_row: dict[str, int] = {}
        rows = 0
        for table, size in sizes.items():
            self._first_row[table] = rows
            rows += size
        # Gathered from, never read whole: in mixed precision the table is not to be cast whole.
        self.table = self.add_weight((rows, width), initializer, name="table", autocast=False)
        self.built = True

    def call(self, features: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Looks up a batch.

        Args:
            features: column name -> int64 ids, [batch], or [batch, any length] padded with -1 if multi-valent.

        Returns:
            float32 [batch, columns, width], categorical columns first. A multi-valent column's embedding is its
            ids' embeddings combined: their sum, the sum over their number (mean) or over its square root (sqrtn);
            zeros if there is none.
        """
        single = [features[column.name] + self._first_row[column.table] for column in self._univalent]
        if not self._multivalent:
            return tf.gather(self.table.value, tf.stack(single, axis=1))
        # Only ids that are there are looked up, so that one long list does not cost as much for every row.
        present = [tf.where(features[column.name] >= 0) for column in self._multivalent]
        rows = single + [
            tf.gather_nd(features[column.name], places) + self._first_row[column.table]
            for column, places in zip(self._multivalent, present, strict=True)
        ]
        vectors = tf.split(tf.gather(self.table.value, tf.concat(rows, axis=0)), [tf.size(ids) for ids in rows])
        batch_size = tf.shape(features[self._multivalent[0].name])[0]
        embeddings = vectors[: len(single)] + [
            _COMBINE[column.combiner](values, places[:, 0], batch_size)
            for column, values, places in zip(self._multivalent, vectors[len(single) :], present, strict=True)
        ]
        return tf.stack(embeddings, axis=1)


class DenseInputs(keras.layers.Layer):  # type: ignore[misc]
    """All columns of the deep part side by side, as one vector per row: embeddings, then numbers.

    Args:
        columns: columns of the deep part.
    """

    def __init__(self, columns: Sequence[InputColumn], name: str = "inputs") -> None:
        super().__init__(name=name)
        ids = [column for column in columns if column.kind != "numeric"]
        self._numeric = [column.name for column in columns if column.kind == "numeric"]
        self._embeddings = [
            FusedEmbedding(
                [column for column in ids if column.width == width],
                width,
                keras.initializers.RandomNormal(stddev=_STDDEV),
                name=f"width_{width}",
            )
            for width in sorted({column.width for column in ids})
        ]
        self.width = sum(column.width for column in ids) + len(self._numeric)
        """Length of the vector."""
        self.built = True

    def call(self, features: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Concatenates a batch's embeddings and numbers: float32 [batch, width]."""
        vectors = []
        for layer in self._embeddings:
            embeddings = layer(features)
            vectors.append(tf.reshape(embeddings, [-1, embeddings.shape[1] * embeddings.shape[2]]))
        numbers = [features[name][:, tf.newaxis] for name in self._numeric]
        return tf.concat(vectors + numbers, axis=1)
