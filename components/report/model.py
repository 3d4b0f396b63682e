"""The report's model, taken apart: the logits of its parts, its weights, and their meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_transform as tft
from tfx.utils import path_utils

from components.evaluation.answers import Floats
from components.evaluation.rows import Rows
from schema.feature_spec import FeatureSpec
from trainer import restore, seen
from trainer.input_columns import Ids, ids_of
from trainer.models import attribution
from trainer.models.attribution import Features, Share
from trainer.models.joint import Joint
from trainer.raw_to_columns import RawToColumns
from trainer.vocabulary import SEPARATOR

_BATCH = 8192

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Looked:
    """A model's ids of some rows, and its parts' logits.

    Attributes:
        ids: the ids by column, [rows, any], padded with -1.
        parts: the share of each row's logit by part, [rows].
        bias: the bias of the logit.
    """

    ids: Mapping[str, Ints]
    parts: Mapping[str, Floats]
    bias: float


class Model:
    """A trained model.

    Args:
        folder: the folder of the model artifact.
        transform_graph: the folder of the transform graph artifact.
        spec: the resolved spec.
    """

    def __init__(self, folder: str, transform_graph: str, spec: FeatureSpec) -> None:
        self._spec = spec
        self._transform = tft.TFTransformOutput(transform_graph)
        self.history = restore.history(folder)
        self.seen = seen.read(folder)
        """The number of training rows with each id, by column."""
        self.ids: Mapping[str, Ids] = ids_of(spec, self._transform)
        joint = restore.restored(folder, path_utils.serving_model_path(folder), spec, self._transform)
        self._joint = None if joint.is_counted else joint

    @property
    def is_told_apart(self) -> bool:
        """Whether the model has trained parts, and one logit per label."""
        return self._joint is not None and self._joint.bias.shape[0] == len(self._spec.labels)

    @property
    def is_attributable(self) -> bool:
        """Whether the first logit can be attributed to the columns."""
        return self._joint is not None and self.is_told_apart and attribution.is_attributable(self._joint)

    def look(self, rows: Rows) -> Looked:
        """Runs the model on rows; for models that `is_told_apart` holds for."""
        joint, to_columns = self._told_apart, self._to_columns

        @tf.function(reduce_retracing=True, autograph=False)  # type: ignore[untyped-decorator]
        def look(examples: tf.Tensor) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
            columns = to_columns(to_columns.parsed(examples))
            ids = {column.name: columns[column.name] for column in joint.columns if column.kind != "numeric"}
            return ids, {part.name: part(columns)[:, 0] for part in joint.parts}

        found = [look(tf.constant(rows.examples[at : at + _BATCH], tf.string)) for at in range(0, len(rows), _BATCH)]
        return Looked(
            ids={name: _stacked([ids[name].numpy() for ids, _ in found]) for name in found[0][0]},
            parts={
                name: np.concatenate([parts[name].numpy() for _, parts in found]).astype(np.float64)
                for name in found[0][1]
            },
            bias=self.bias,
        )

    @cached_property
    def _to_columns(self) -> RawToColumns:
        return RawToColumns(self._spec, self._transform, self._told_apart.columns)

    def take_apart(self, examples: Sequence[bytes], average: Sequence[bytes]) -> tuple[Features, list[list[Share]]]:
        """Attributes the logits of a few rows to the model's parts and columns.

        Args:
            examples: the rows, as serialized tf.Examples.
            average: the rows whose mean is the baseline of integrated gradients.

        Returns:
            The model's input columns of the rows, and for each row the shares of the parts.
        """
        batches = [self._features(average[at : at + _BATCH]) for at in range(0, len(average), _BATCH)]
        baselines = attribution.mean_vectors(self._told_apart, batches)
        features = self._features(examples)
        return features, attribution.shares(self._told_apart, features, baselines)

    def _features(self, examples: Sequence[bytes]) -> Features:
        return self._to_columns(self._to_columns.parsed(tf.constant(examples, tf.string)))

    @property
    def bias(self) -> float:
        """The bias of the first logit."""
        return float(self._told_apart.bias.numpy()[0])

    @property
    def _told_apart(self) -> Joint:
        assert self._joint is not None, "asked for models that are told apart"
        return self._joint

    def shares_of_training(self, items: npt.NDArray[np.object_]) -> Floats | None:
        """The share of the training rows with each item, [items]; None if the model has no vocabulary of items."""
        assert self._spec.ranking is not None, "asked for rankings only"
        column = self._spec.ranking.item
        if column not in self.seen or self.ids[column].vocabulary is None:
            return None
        rows = dict(zip(self.ids[column].tokens, self.seen[column], strict=False))
        total = max(1, self.history["train_rows"])
        return np.array([max(1, rows.get(str(item), 0)) / total for item in items])

    def token(self, column: str, place: int) -> str:
        """The token of an id, or a phrase for ids without a token."""
        ids = self.ids[column]
        if place < len(ids.tokens):
            return ids.tokens[place].replace(SEPARATOR, " × ")
        if ids.missing and place == ids.size - 1:
            return "(missing)"
        bucket = place - len(ids.tokens)
        return f"bucket {bucket}" if not ids.tokens else "(others)"

    @cached_property
    def wide_weights(self) -> Mapping[str, Floats]:
        """The weight of each id in the wide part, [ids], by column; empty for a model without a wide part."""
        return {
            name: layer.table.numpy()[rows.start : rows.stop, 0].astype(np.float64)
            for part in self._told_apart.parts
            if part.is_wide
            for layer in part.embeddings
            for name, rows in layer.tables.items()
        }

    def embeddings(self, column: str) -> Floats | None:
        """The embeddings of a column's ids, [ids, width]; None if no part other than the wide one has any."""
        for part in self._told_apart.parts:
            table = next((each.table for each in part.columns if each.name == column), None)
            for layer in part.embeddings:
                if not part.is_wide and table in layer.tables and layer.table.shape[1] > 1:
                    rows = layer.tables[table]
                    vectors: Floats = layer.table.numpy()[rows.start : rows.stop].astype(np.float64)
                    return vectors[: self.ids[column].size]
        return None


def _stacked(batches: Sequence[Ints]) -> Ints:
    """Concatenates batches of ids, [rows] or [rows, any], to [rows, any], padded with -1."""
    columns = [batch[:, np.newaxis] if batch.ndim == 1 else batch for batch in batches]
    width = max(batch.shape[1] for batch in columns)
    padded = [np.pad(batch, ((0, 0), (0, width - batch.shape[1])), constant_values=-1) for batch in columns]
    return np.concatenate(padded)
