"""The identity of a row, which stays the same in every run, whatever the other columns are.

Splits by hash use this identity. If the description says what identifies a row, it is made of these columns:
`splits.key`, or the ranking's group and item. Else it is the row's file and its place in that file, since everything
else may change when columns are added, ignored or read as another type. Values are compared as texts, so that 5, 5.0
and "5" are equal.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from schema.conversion import convert, is_list, null_where, plain
from schema.feature_spec import FeatureSpec, GivenSplits, RandomSplits, TimeSplits

ROW, TIME = "_row", "_time"
"""Columns of batches: a hash of the row's identity, uint64, and the time to split by, float64."""

Hashes = npt.NDArray[np.uint64]

_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads sums over all bits
_SEPARATOR = "\x1f"


def splits_by_hash(spec: FeatureSpec) -> bool:
    """Whether the splits of a spec depend on the identities of rows."""
    if isinstance(spec.splits, GivenSplits):
        return isinstance(spec.source.files, Mapping) and "eval" not in spec.source.files
    return isinstance(spec.splits, RandomSplits)


def key_columns(spec: FeatureSpec) -> tuple[str, ...]:
    """The columns that identify a row; empty if the row's place in its file identifies it."""
    if not isinstance(spec.splits, TimeSplits) and spec.splits.key:
        return spec.splits.key
    return (spec.ranking.group, spec.ranking.item) if spec.ranking else ()


def called(path: Path, base: Path) -> str:
    """The name of a file in the identities of its rows: its path relative to the dataset's folder, which may move."""
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path)


def identities(
    keys: Mapping[str, pa.Array],
    file: str,
    first_row: int,
    rows: int,
    marks: Sequence[str],
    times: Collection[str] = (),
) -> pa.Array:
    """A hash of the identity of each row, the same in every run and process.

    Args:
        keys: the columns that identify a row, as read from the file; empty if its place identifies it.
        file: the name of the file, see `called`.
        first_row: the place of the first row in the file, from 0.
        rows: the number of rows.
        marks: the texts that stand for a missing value. A row that lacks one of `keys` is identified by its place.
        times: the names of those `keys` that hold dates and times.

    Returns:
        uint64 [rows].
    """
    places = np.arange(first_row, first_row + rows).astype(np.uint64)
    name: Hashes = pd.util.hash_array(np.array([file], object), categorize=False)
    hashes: Hashes = pd.util.hash_array(name * _ODD + places)
    if keys:
        texts = [_text(array, marks, name in times) for name, array in keys.items()]
        by_key: Hashes = np.zeros(rows, np.uint64)
        known = np.ones(rows, bool)
        for text in texts:
            by_key = by_key * _ODD + _hashes(text)
            known &= np.asarray(text.is_valid())
        hashes = np.where(known, pd.util.hash_array(by_key), hashes)
    return pa.array(hashes)


def shares(hashes: pa.Array) -> npt.NDArray[np.float64]:
    """Maps hashes to numbers in [0, 1), float64 [rows]."""
    return (np.asarray(hashes) >> np.uint64(11)) / 2.0**53  # 53 bits, so that none rounds up to 1


_DECIMAL = r"^[+-]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)$"


def _text(array: pa.Array, marks: Sequence[str], holds_times: bool) -> pa.Array:
    """The values as texts that do not depend on the column's type. The entries of a list are joined."""
    array = plain(array, marks)
    if holds_times and not is_list(array.type):
        return convert(array, "integer", marks=marks, holds_times=True).cast(pa.string())
    if is_list(array.type):
        texts = convert(array, "strings", marks=marks)
        joined = pc.binary_join(texts, _SEPARATOR)
        return null_where(pc.equal(joined, ""), joined)
    texts = pc.replace_substring_regex(convert(array, "string", marks=marks), r"^\+?(-?[0-9]+)\.0*$", r"\1")
    texts = pc.replace_substring_regex(texts, "^(?:True|TRUE)$", "true")
    texts = pc.replace_substring_regex(texts, "^(?:False|FALSE)$", "false")
    is_decimal = pc.match_substring_regex(texts, _DECIMAL)
    if not pc.any(is_decimal).as_py():
        return texts
    decimals = convert(texts.filter(pc.fill_null(is_decimal, False)).cast(pa.float64()), "string", marks=marks)
    return pc.replace_with_mask(texts, pc.fill_null(is_decimal, False), decimals)


def _hashes(texts: pa.Array) -> Hashes:
    """A hash of each text, 0 where it is missing."""
    # Most columns have far fewer different values than rows, and hashing texts is slow.
    encoded = texts.dictionary_encode()
    different = pd.util.hash_array(encoded.dictionary.to_numpy(zero_copy_only=False), categorize=False)
    places = np.asarray(encoded.indices.fill_null(len(different)))
    hashes: Hashes = np.append(different, np.uint64(0))[places]
    return hashes
