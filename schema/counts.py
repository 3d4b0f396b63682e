"""Counts the tokens of the train split as Transform does, but without TensorFlow.

A vocabulary holds the nonempty tokens of its feature and of the features that share it, or of a cross. A cross has a
token for each combination of its columns' tokens in a row. In it, a missing value counts as an empty token, and a
missing list has no tokens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from schema.feature_spec import Cross, FeatureSpec, Multivalent, Numeric, Vocabulary
from schema.features import QUANTILE_ERROR

Boundaries = npt.NDArray[np.float32]


class TokenCounts:
    """Counts the tokens of each vocabulary. All different tokens are held in memory.

    First `add` all batches of the train split. Then `add_crossed` them again, since crosses need the boundaries of
    buckets. Then read `sizes`.

    Args:
        spec: a resolved spec.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec = spec
        self._limits: dict[str, Vocabulary] = {
            spec.base_name(name): spec.base(name).vocabulary
            for name, feature in spec.features.items()
            if not isinstance(feature, Numeric) and not spec.base(name).hash_buckets
        }
        self.crosses: Sequence[Cross] = [cross for cross in spec.crosses if not cross.hash_buckets]
        """The crosses that have a vocabulary."""
        self._limits |= {cross.name: cross.vocabulary for cross in self.crosses}
        self._counts: dict[str, Counter[object]] = {name: Counter() for name in self._limits}
        self._quantiles = _Quantiles(
            {
                name: feature.buckets
                for cross in self.crosses
                for name in cross.columns
                if isinstance(feature := spec.features[name], Numeric) and feature.buckets
            }
        )

    def add(self, batch: pa.RecordBatch) -> None:
        """Counts the tokens of features in a batch from `schema.reader.read`."""
        for name, feature in self._spec.features.items():
            if not isinstance(feature, Numeric) and self._spec.base_name(name) in self._counts:
                self._counts[self._spec.base_name(name)].update(_count(batch[name]))
        self._quantiles.add(batch)

    def add_crossed(self, batch: pa.RecordBatch) -> None:
        """Counts the tokens of crosses in a batch."""
        boundaries = self._quantiles.boundaries
        for cross in self.crosses:
            self._counts[cross.name].update(_count_crossed(batch, self._spec, cross, boundaries))

    def sizes(self) -> dict[str, int]:
        """Name of a cross or feature -> the number of tokens in its vocabulary. Features that share another's
        vocabulary, and hashed ones, are left out."""
        return {name: _kept(self._counts[name], limits) for name, limits in self._limits.items()}


def _kept(counts: Counter[object], vocabulary: Vocabulary) -> int:
    frequent = sum(count >= vocabulary.min_count for count in counts.values())
    return min(frequent, vocabulary.top_k or frequent)


def _count(column: pa.Array) -> dict[object, int]:
    values = column.flatten() if pa.types.is_list(column.type) else column
    counted = pc.value_counts(values.drop_null())
    tokens = counted.field("values").cast(pa.string()).to_pylist()
    return {
        token: count
        for token, count in zip(tokens, counted.field("counts").to_pylist(), strict=True)
        if token and "\n" not in token and "\r" not in token
    }


def _count_crossed(
    batch: pa.RecordBatch, spec: FeatureSpec, cross: Cross, boundaries: Mapping[str, Boundaries]
) -> dict[object, int]:
    combined = pd.DataFrame(index=np.arange(len(batch)))
    for place, name in enumerate(cross.columns):
        tokens = _tokens_by_row(batch[name], spec, name, boundaries)
        combined = combined.join(tokens.rename(place), how="inner")  # all combinations of a row's tokens
    counted = combined.groupby(list(combined.columns), sort=False).size()
    return {
        tokens: int(count)
        for tokens, count in counted.items()
        if not any("\n" in token or "\r" in token for token in tokens)
    }


def _tokens_by_row(
    column: pa.Array, spec: FeatureSpec, name: str, boundaries: Mapping[str, Boundaries]
) -> pd.Series[str]:
    """The tokens of a column by the indices of their rows."""
    if isinstance(spec.features[name], Multivalent):
        rows, values = np.asarray(pc.list_parent_indices(column)), column.flatten()
        return pd.Series(values.cast(pa.string()).to_numpy(zero_copy_only=False), rows)
    if name in boundaries:
        numbers = column.to_numpy(zero_copy_only=False)
        missing = len(boundaries[name]) + 1
        buckets = np.where(np.isnan(numbers), missing, np.searchsorted(boundaries[name], numbers, side="right"))
        return pd.Series(buckets.astype(str))
    return pd.Series(column.cast(pa.string()).fill_null("").to_numpy(zero_copy_only=False))


class _Quantiles:
    """Estimates the boundaries of buckets with the sketch that Transform uses.

    Args:
        buckets: column -> the number of its buckets.
    """

    def __init__(self, buckets: Mapping[str, int]) -> None:
        self._buckets = buckets
        self._sketches = {}
        if buckets:
            from tfx_bsl.sketches import QuantilesSketch  # not needed by most datasets

            self._sketches = {
                name: QuantilesSketch(QUANTILE_ERROR / count, 1 << 32, 1) for name, count in buckets.items()
            }

    def add(self, batch: pa.RecordBatch) -> None:
        for name, sketch in self._sketches.items():
            sketch.AddValues(batch[name].drop_null())

    @cached_property
    def boundaries(self) -> dict[str, Boundaries]:
        """Column -> its boundaries, float32 [buckets - 1]. No batch can be added afterwards."""
        return {
            name: np.array(sketch.GetQuantiles(self._buckets[name]).to_pylist()[0], np.float32)[1:-1]
            for name, sketch in self._sketches.items()
        }
