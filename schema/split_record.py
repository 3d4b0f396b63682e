"""Which rows a model was trained on, in few words, and whether a later test split may have any of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from schema.errors import listing
from schema.feature_spec import FeatureSpec, RandomSplits, TimeSplits
from schema.identity import key_columns

_HEAD_BYTES = 1 << 16
_MOST_FILES = 1000


class SplitRecord(BaseModel):
    """How a dataset was split.

    Attributes:
        by: as in the description.
        columns: of a hash those of the key, none where a row's place decides; of a split by time that one.
        train_end: where the train split ends, exclusive: a share of all hashes, or a time.
        test_start: where the test split begins, inclusive.
        files: what a file is called -> a digest of its beginning, of the files whose rows' places decide, and of the
            train split's given files.
        test_files: of given test files.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    by: Literal["random", "time", "given"]
    columns: tuple[str, ...] = ()
    train_end: float = 0
    test_start: float = 0
    files: Mapping[str, str] = {}
    test_files: Mapping[str, str] = {}


def record(spec: FeatureSpec, files: Mapping[str, Path], test_files: Mapping[str, Path],
           boundaries: tuple[float, float] | None) -> SplitRecord:  # fmt: skip
    """The record of a dataset's splits.

    Args:
        spec: the resolved spec.
        files: what a file is called -> where it is; of given files without those of the test split.
        test_files: of given files those of the test split.
        boundaries: from `schema.splits.time_boundaries`.
    """
    splits = spec.splits
    if isinstance(splits, TimeSplits):
        assert boundaries is not None, "splits by time have boundaries"
        return SplitRecord(by="time", columns=(splits.column,), train_end=boundaries[0], test_start=boundaries[1])
    if isinstance(splits, RandomSplits):
        key = key_columns(spec)
        train, test = splits.fractions["train"], splits.fractions["test"]
        heads = {} if key else _heads(files)
        return SplitRecord(by="random", columns=key, train_end=train, test_start=1 - test, files=heads)
    return SplitRecord(by="given", files=_heads(files), test_files=_heads(test_files))


def overlap(then: SplitRecord | None, now: SplitRecord | None) -> str | None:
    """Why a model may have been trained on rows of today's test split; None if it was not.

    Args:
        then: of the model; None where nothing was recorded.
        now: of today's examples.
    """
    if now is None:
        return None
    if then is None:
        return "nothing is recorded of the splits that it was trained with"
    if then.by != now.by:
        return f"it was trained with splits by {_words(then)}, now they are by {_words(now)}"
    if then.by == "given":
        both = set(then.files.values()) & set(now.test_files.values())
        names = [name for name, digest in now.test_files.items() if digest in both]
        return f"it was trained on {listing(names)}, now a test file" if names else None
    if then.columns != now.columns:
        return f"it was trained with splits by {_words(then)}, now they are by {_words(now)}"
    if then.train_end > now.test_start + 1e-9:
        return f"its train split ends at {then.train_end:.10g}, and the test split begins at {now.test_start:.10g}"
    changed = [name for name, digest in now.files.items() if then.files.get(name, digest) != digest]
    if changed:
        return f"rows of {listing(changed, 3)} may have changed places since, by which they are split"
    return None


def _words(record: SplitRecord) -> str:
    return f"{record.by} ({listing(record.columns)})" if record.columns else record.by


def _heads(files: Mapping[str, Path]) -> dict[str, str]:
    """Digests of the files' beginnings: rows are appended at the end."""
    return {name: _head(path) for name, path in list(files.items())[:_MOST_FILES]}


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.blake2b(file.read(_HEAD_BYTES), digest_size=8).hexdigest()


def names(record: SplitRecord) -> Sequence[str]:
    """The files that are recorded."""
    return [*record.files, *record.test_files]
