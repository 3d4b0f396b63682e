"""Which of train, eval and test each row is in: by file, by a hash, or by time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from schema.dataset import Dataset
from schema.errors import DataError
from schema.feature_spec import SPLITS, FeatureSpec, GivenSplits, Split, TimeSplits
from schema.reader import read

_SORTED_AT_ONCE = 1 << 20

Boundaries = tuple[float, float]
"""The times at which eval and test begin, inclusive."""


def time_boundaries(files: Iterable[Path], spec: FeatureSpec) -> Boundaries | None:
    """Where a split by time cuts: as the spec says, or at the quantiles of the time column over all files.

    Equal times stay together, so that shares can differ from the fractions asked for.

    Args:
        files: all files of the dataset. Of each only the time column is read.
        spec: a resolved spec.

    Returns:
        The boundaries; none for splits that do not go by time.

    Raises:
        DataError: fewer than three different times, or what `schema.reader.read` raises.
    """
    splits = spec.splits
    if not isinstance(splits, TimeSplits):
        return None
    if splits.boundaries:
        return splits.boundaries
    paths = list(files)
    batches = (batch for path in paths for batch in read(path, spec, only=[splits.column]))
    times, counts = _count(batch.column(0).to_numpy().astype(np.float64) for batch in batches)
    if len(times) < len(SPLITS):
        raise DataError(
            f"{paths[0]}: {splits.column}: expected at least three different times to split by, received {len(times)}"
        )
    return _cut(times, counts, splits.fractions["train"], splits.fractions["train"] + splits.fractions["eval"])


def _count(
    arrays: Iterable[npt.NDArray[np.float64]],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """The different values of all arrays, ascending, and how often each occurs."""
    values: npt.NDArray[np.float64] = np.empty(0)
    counts: npt.NDArray[np.int64] = np.empty(0, np.int64)
    waiting: list[npt.NDArray[np.float64]] = []

    def merge() -> None:
        nonlocal values, counts
        new = np.concatenate([np.empty(0), *waiting])
        values, places = np.unique(np.concatenate([values, new]), return_inverse=True)
        ones = np.ones(len(new), np.int64)
        counts = np.bincount(places, np.concatenate([counts, ones])).astype(np.int64)
        waiting.clear()

    for array in arrays:
        waiting.append(array)
        # Sorting once for each doubling, not for each array.
        if sum(map(len, waiting)) > max(len(values), _SORTED_AT_ONCE):
            merge()
    merge()
    return values, counts


def _cut(times: npt.NDArray[np.float64], counts: npt.NDArray[np.int64], train: float, before_test: float) -> Boundaries:
    """The times before which the shares of the rows are nearest to those asked for, with no split empty.

    Args:
        times: [n] different times, ascending.
        counts: [n] rows of each.
        train: share of the rows before eval.
        before_test: share of the rows before test.
    """
    shares_before = (np.cumsum(counts) - counts) / counts.sum()
    last = len(times) - 1
    first_eval = 1 + int(np.argmin(np.abs(shares_before[1:last] - train)))
    after = first_eval + 1
    first_test = after + int(np.argmin(np.abs(shares_before[after:] - before_test)))
    return float(times[first_eval]), float(times[first_test])


def split(
    batch: pa.RecordBatch, spec: FeatureSpec, given: Split | None = None, boundaries: Boundaries | None = None
) -> dict[Split, pa.RecordBatch]:
    """The rows of a batch by split.

    Args:
        batch: rows as `schema.reader.read` gives them.
        spec: a resolved spec.
        given: the split whose file the batch is from, where the spec gives files by split.
        boundaries: from `time_boundaries`, where the spec splits by time.

    Returns:
        A batch for each split that has any of the rows, which keep their order.

    Raises:
        ValueError: `given` or `boundaries` is missing where the spec needs it.
    """
    splits = spec.splits
    if isinstance(splits, GivenSplits):
        if given is None:
            raise ValueError("expected the split of the file, where the spec gives files by split")
        if given != "train" or (isinstance(spec.source.files, Mapping) and "eval" in spec.source.files):
            return {given: batch} if len(batch) else {}
        shares = uniform(batch, sorted(batch.schema.names))
        place = np.where(shares < splits.eval_fraction, 1, 0)
    elif isinstance(splits, TimeSplits):
        if boundaries is None:
            raise ValueError("expected the boundaries, where the spec splits by time")
        times = batch[splits.column].to_numpy().astype(np.float64)
        place = np.searchsorted(np.asarray(boundaries), times, side="right")
    else:
        shares = uniform(batch, [splits.key] if splits.key else sorted(batch.schema.names))
        ends = np.cumsum([splits.fractions[name] for name in SPLITS[:-1]])
        place = np.searchsorted(ends, shares, side="right")
    return {name: batch.filter(pa.array(place == index)) for index, name in enumerate(SPLITS) if (place == index).any()}


def read_splits(dataset: Dataset, boundaries: Boundaries | None = None) -> Iterator[tuple[Split, pa.RecordBatch, Path]]:
    """All rows of a dataset: batches of one split each, with the file they are from.

    Args:
        dataset: the dataset.
        boundaries: from `time_boundaries`, where the spec splits by time.

    Raises:
        DataError: what `schema.reader.read` raises.
    """
    for key, paths in dataset.files.items():
        for path in paths:
            for batch in read(path, dataset.spec):
                for name, rows in split(batch, dataset.spec, None if key == "all" else key, boundaries).items():
                    yield name, rows, path


Hashes = npt.NDArray[np.uint64]
_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads sums over all bits


def uniform(batch: pa.RecordBatch, names: Sequence[str]) -> npt.NDArray[np.float64]:
    """A number in [0, 1) for each row that depends on its values in those columns alone, the same in every run.

    Args:
        batch: [n] rows.
        names: the columns; their order matters.

    Returns:
        float64 [n].
    """
    combined: Hashes = np.zeros(len(batch), np.uint64)
    for name in names:
        combined = combined * _ODD + _hashes(batch[name])
    hashes: Hashes = pd.util.hash_array(combined)
    return (hashes >> np.uint64(11)) / 2.0**53  # 53 bits, so that none rounds up to 1


def _hashes(column: pa.Array) -> Hashes:
    """A hash of each value (of each list, of its values in their order), 0 where it is missing."""
    hashes: Hashes
    if pa.types.is_list(column.type):
        rows = np.asarray(pc.list_parent_indices(column))
        starts = np.searchsorted(rows, rows)
        positions = (np.arange(len(rows)) - starts).astype(np.uint64)
        hashes = np.zeros(len(column), np.uint64)
        np.add.at(hashes, rows, pd.util.hash_array(_hashes(column.flatten()) * _ODD + positions))
        return hashes
    # Most columns have far fewer different values than rows, and hashing texts is slow.
    encoded = column.dictionary_encode()
    different = pd.util.hash_array(encoded.dictionary.to_numpy(zero_copy_only=False), categorize=False)
    places = np.asarray(encoded.indices.fill_null(len(different)))
    hashes = np.append(different, np.uint64(0))[places]
    return hashes
