"""Compact records of the rows that a model was trained on, to tell whether a later test split may contain any of them.

If a row's place decides its split, the rows must not have moved. Their labels reveal whether they have, since labels
exist whatever happens to other columns: a signature has the sums of hashes of place and label over blocks of rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from schema.errors import listing
from schema.feature_spec import FeatureSpec, RandomSplits, TimeSplits
from schema.identity import key_columns
from schema.times import unit_since_1970

_FINE = 64
"""The number of rows of a block during reading."""
_MOST_BLOCKS = 4096
"""The largest number of blocks that are kept for all files together."""

Sums = npt.NDArray[np.uint64]


class Signature(BaseModel):
    """The labels of a file and their places, as sums of hashes.

    Attributes:
        rows: the number of rows.
        block: the number of rows of a block, a power of two.
        sums: the sum of the hashes of the rows in each block.
    """

    model_config = ConfigDict(frozen=True)

    rows: int
    block: int
    sums: tuple[int, ...]

    def begins_like(self, earlier: Signature) -> bool:
        """Whether the file still begins with all rows of its earlier state; more rows may follow."""
        if self.rows < earlier.rows:
            return False
        block = max(self.block, earlier.block)
        now, then = (_coarser(np.array(each.sums, np.uint64), block // each.block) for each in (self, earlier))
        # If the file has grown, its last earlier block has more rows now and cannot be compared.
        whole = len(then) if self.rows == earlier.rows else earlier.rows // block
        return np.array_equal(now[:whole], then[:whole])


class Signatures:
    """Computes the signatures of files.

    An accumulator: `add` batches, in any order and on any number of workers, then `merge` the accumulators.
    """

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._sums: dict[str, Sums] = {}

    def add(self, file: str, first_row: int, labels: pa.Array) -> None:
        """Adds rows of a file.

        Args:
            file: the name of the file.
            first_row: the place of the first of these rows in the file, from 0.
            labels: the labels, float32 [rows].
        """
        places = np.arange(first_row, first_row + len(labels))
        values = np.nan_to_num(labels.to_numpy(zero_copy_only=False)).astype(np.float32).view(np.uint32)
        hashes = pd.util.hash_array((places.astype(np.uint64) << np.uint64(32)) ^ values.astype(np.uint64))
        sums: Sums = np.zeros(len(places) and places[-1] // _FINE + 1, np.uint64)
        np.add.at(sums, places // _FINE, hashes)
        self._add(file, len(labels), sums)

    def _add(self, file: str, rows: int, sums: Sums) -> None:
        self._rows[file] = self._rows.get(file, 0) + rows
        before = self._sums.get(file, np.zeros(0, np.uint64))
        longer, shorter = (sums, before) if len(sums) > len(before) else (before, sums)
        longer[: len(shorter)] += shorter
        self._sums[file] = longer

    def merge(self, other: Signatures) -> None:
        """Adds the sums of another accumulator."""
        for file, sums in other._sums.items():
            self._add(file, other._rows[file], sums)

    def result(self) -> dict[str, Signature]:
        """File -> its signature."""
        most, found = max(1, _MOST_BLOCKS // max(1, len(self._sums))), {}
        for file, sums in sorted(self._sums.items()):
            times = 1
            while len(sums) > times * most:
                times *= 2
            coarse = _coarser(sums, times)
            found[file] = Signature(rows=self._rows[file], block=_FINE * times, sums=tuple(coarse.tolist()))
        return found


def _coarser(sums: Sums, times: int) -> Sums:
    """Joins every `times` blocks into one."""
    padded = np.concatenate([sums, np.zeros(-len(sums) % times, np.uint64)])
    found: Sums = padded.reshape(-1, times).sum(axis=1, dtype=np.uint64)
    return found


class SplitRecord(BaseModel):
    """A record of how a dataset was split.

    Attributes:
        by: the kind of splits, as in the description.
        columns: for splits by hash, the columns of the key, empty if a row's place decides; for splits by time, the
            column of times.
        null_values: the texts that count as missing in the key.
        train_end: the end of the train split, exclusive: a share of all hashes, or a time.
        test_start: the beginning of the test split, inclusive.
        come_and_go: whether a file may disappear without its rows moving elsewhere, as in a window of spans.
        files: file -> its signature, if the places of rows decide; for given splits, without the files of test.
        test_files: for given splits, the files of the test split.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    by: Literal["random", "time", "given"]
    columns: tuple[str, ...] = ()
    null_values: tuple[str, ...] = ()
    train_end: float = 0
    test_start: float = 0
    come_and_go: bool = False
    files: Mapping[str, Signature] = {}
    test_files: tuple[str, ...] = ()


def record(
    spec: FeatureSpec, signatures: Mapping[str, Signature], test_files: Mapping[str, Path], has_spans: bool,
    boundaries: tuple[float, float] | None,
) -> SplitRecord:  # fmt: skip
    """Records how a dataset is split.

    Args:
        spec: the resolved spec.
        signatures: file -> its signature, for all files.
        test_files: name -> path of the files of the test split, for given splits.
        has_spans: whether the data comes in spans, of which a run reads a window.
        boundaries: the result of `schema.splits.time_boundaries`.
    """
    splits = spec.splits
    if isinstance(splits, TimeSplits):
        assert boundaries is not None, "splits by time have boundaries"
        return SplitRecord(by="time", columns=(splits.column,), train_end=boundaries[0], test_start=boundaries[1])
    if isinstance(splits, RandomSplits):
        key = key_columns(spec)
        return SplitRecord(
            by="random",
            columns=key,
            null_values=tuple(sorted(spec.source.null_values)) if key else (),
            train_end=splits.fractions["train"],
            test_start=1 - splits.fractions["test"],
            come_and_go=has_spans,
            files={} if key else signatures,
        )
    train = {name: signature for name, signature in signatures.items() if name not in test_files}
    return SplitRecord(by="given", come_and_go=has_spans, files=train, test_files=tuple(sorted(test_files)))


def overlap(then: SplitRecord | None, now: SplitRecord | None) -> str | None:
    """The reason why a model may have been trained on rows of today's test split; None if it was not.

    Args:
        then: the record of the model's training data; None if there is no record.
        now: the record of today's examples.
    """
    if now is None:
        return None
    if then is None:
        return "nothing is recorded of the splits that it was trained with"
    if (then.by, then.columns) != (now.by, now.columns):
        return f"it was trained with splits by {_words(then)}, now they are by {_words(now)}"
    if then.null_values != now.null_values:
        return "other values of the key count as missing now"
    if now.by == "time" and unit_since_1970(then.train_end) != unit_since_1970(now.test_start):
        return "the times that rows are split by are in another unit now"
    if then.train_end > now.test_start + 1e-9:
        return f"its train split ends at {then.train_end:.10g}, and the test split begins at {now.test_start:.10g}"
    if names := [name for name in now.test_files if name in then.files]:
        return f"it was trained on {listing(names)}, now a test file"
    return _moved(then, now)


def _moved(then: SplitRecord, now: SplitRecord) -> str | None:
    """The reason why rows may have moved; None if they have not."""
    gone = [name for name in then.files if name not in now.files]
    if gone and not then.come_and_go:
        return f"{listing(gone, 3)} no longer exists, and its rows may be in other files"
    changed = [
        name
        for name, signature in now.files.items()
        if name in then.files and not signature.begins_like(then.files[name])
    ]
    if changed:
        return f"rows of {listing(changed, 3)} have moved since, or have other labels"
    return None


def _words(record: SplitRecord) -> str:
    return f"{record.by} ({listing(record.columns)})" if record.columns else record.by
