"""Splits rows into train, eval and test: by file, by a hash, or by time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schema import reader
from schema.dataset import Dataset
from schema.errors import DataError
from schema.feature_spec import SPLITS, FeatureSpec, GivenSplits, Split, TimeSplits
from schema.identity import ROW, TIME, called, shares

_SORTED_AT_ONCE = 1 << 20

Boundaries = tuple[float, float]
"""The times at which eval and test begin, inclusive."""


def time_boundaries(files: Iterable[Path], spec: FeatureSpec) -> Boundaries | None:
    """The boundaries of a split by time: those of the spec, or else quantiles of the time column over all files.

    Equal times stay together, so shares can differ from the fractions in the spec.

    Args:
        files: all files of the dataset, of which only the time column is read.
        spec: a resolved spec.

    Returns:
        The boundaries; None for splits that are not by time.

    Raises:
        DataError: there are fewer than three different times, or `schema.reader.read` raises it.
    """
    splits = spec.splits
    if not isinstance(splits, TimeSplits):
        return None
    if splits.boundaries:
        return splits.boundaries
    paths = list(files)
    batches = (batch for path in paths for batch in reader.read(path, spec, only=[], called=""))
    times, counts = _count(batch[TIME].to_numpy() for batch in batches)
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
        # Sort once for each doubling, not for each array.
        if sum(map(len, waiting)) > max(len(values), _SORTED_AT_ONCE):
            merge()
    merge()
    return values, counts


def _cut(times: npt.NDArray[np.float64], counts: npt.NDArray[np.int64], train: float, before_test: float) -> Boundaries:
    """The boundaries whose splits are nearest to the given shares, with no split empty.

    Args:
        times: different times, ascending, float64 [n].
        counts: the number of rows of each time, int64 [n].
        train: the share of the rows before eval.
        before_test: the share of the rows before test.
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
    """Splits the rows of a batch.

    Args:
        batch: rows as `schema.reader.read` yields them, with the column `ROW` or `TIME` that the spec splits by.
        spec: a resolved spec.
        given: the split whose file the batch is from, if the spec gives files by split.
        boundaries: the result of `time_boundaries`, if the spec splits by time.

    Returns:
        A batch for each split that has any of the rows. Rows keep their order and lose the column to split by.

    Raises:
        ValueError: the spec needs `given` or `boundaries`, and it is missing.
    """
    splits = spec.splits
    if isinstance(splits, GivenSplits):
        if given is None:
            raise ValueError("expected the split of the file, where the spec gives files by split")
        if given != "train" or (isinstance(spec.source.files, Mapping) and "eval" in spec.source.files):
            return {given: _columns_alone(batch)} if len(batch) else {}
        place = np.where(shares(batch[ROW]) < splits.eval_fraction, 1, 0)
    elif isinstance(splits, TimeSplits):
        if boundaries is None:
            raise ValueError("expected the boundaries, where the spec splits by time")
        place = np.searchsorted(np.asarray(boundaries), batch[TIME].to_numpy(), side="right")
    else:
        ends = np.cumsum([splits.fractions[name] for name in SPLITS[:-1]])
        place = np.searchsorted(ends, shares(batch[ROW]), side="right")
    batch = _columns_alone(batch)
    return {name: batch.filter(pa.array(place == index)) for index, name in enumerate(SPLITS) if (place == index).any()}


def _columns_alone(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.select([name for name in batch.schema.names if name not in (ROW, TIME)])


def read_splits(
    dataset: Dataset, boundaries: Boundaries | None = None, unknown: Callable[[Iterable[str], Path], None] | None = None
) -> Iterator[tuple[Split, pa.RecordBatch, Path]]:
    """Reads all rows of a dataset.

    Args:
        dataset: the dataset.
        boundaries: the result of `time_boundaries`, if the spec splits by time.
        unknown: called with the columns of a file that the spec does not know, and the file.

    Yields:
        The split, a batch of its rows, and the file that they are from.

    Raises:
        DataError: `schema.reader.read` raises it.
    """
    for key, paths in dataset.files.items():
        for path in paths:
            more = set[str]()
            for batch in reader.read(path, dataset.spec, called=called(path, dataset.base), unknown=more):
                for part, rows in split(batch, dataset.spec, None if key == "all" else key, boundaries).items():
                    yield part, rows, path
            if unknown and more:
                unknown(more, path)
