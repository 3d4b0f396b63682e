"""Conditions on a whole split that no single row shows: counted batch by batch, judged at the end."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypedDict

import pyarrow as pa
import pyarrow.compute as pc

from schema.errors import DataError, listing
from schema.feature_spec import LABEL, SPLITS, WEIGHT, FeatureSpec, Split
from schema.identity import key_columns, splits_by_hash
from schema.oddities import Oddities
from schema.reader import first_missing, frequent_values, is_missing

_FEW = 5
"""The number of label values that a message lists."""


class SplitSummary(TypedDict):
    """The number of rows of a split and the sum of their labels, which for two classes is the number of positives."""

    rows: int
    labels: float


@dataclass
class _Counts:
    """Counts of one split: rows, the sum and extremes of their labels, and the rows without a value by column."""

    rows: int = 0
    labels: float = 0
    lowest: float = math.inf
    highest: float = -math.inf
    weight: float = 0
    weight_of_class: Counter[int] = field(default_factory=Counter)
    """The sum of the weights of the rows with each of two labels."""
    missing: Counter[str] = field(default_factory=Counter)
    files: set[Path] = field(default_factory=set)
    files_with_missing: dict[str, Path] = field(default_factory=dict)


class Checks:
    """Counts rows and labels over the splits, and verifies that they can train and judge a model.

    An accumulator: `add` batches, in any order and on any number of workers, `merge` the accumulators, then `verify`.

    Args:
        spec: a resolved spec.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec = spec
        self._splits: dict[Split, _Counts] = {split: _Counts() for split in SPLITS}
        self._oddities = Oddities(spec)

    def add(self, split: Split, rows: pa.RecordBatch, path: Path) -> None:
        """Counts rows of a split, as `schema.splits.split` returns them, from the file `path`."""
        counts = self._splits[split]
        counts.rows += len(rows)
        if len(rows):
            extremes = pc.min_max(rows[LABEL]).as_py()
            counts.labels += pc.sum(rows[LABEL]).as_py()
            counts.lowest, counts.highest = min(counts.lowest, extremes["min"]), max(counts.highest, extremes["max"])
            if self._spec.weight:
                counts.weight += pc.sum(rows[WEIGHT]).as_py()
                for label in (0, 1):
                    of_class = rows[WEIGHT].filter(pc.equal(rows[LABEL], label)).cast(pa.float64())
                    counts.weight_of_class[label] += pc.sum(of_class).as_py() or 0
        counts.files.add(path)
        self._oddities.add(rows, path)
        for name in self._spec.features:
            if missing := pc.sum(is_missing(rows[name])).as_py():
                counts.missing[name] += missing
                counts.files_with_missing[name] = min(path, counts.files_with_missing.get(name, path))

    def merge(self, other: Checks) -> Self:
        """Adds the counts of another accumulator."""
        for split, counts in self._splits.items():
            more = other._splits[split]
            counts.rows += more.rows
            counts.labels += more.labels
            counts.lowest, counts.highest = min(counts.lowest, more.lowest), max(counts.highest, more.highest)
            counts.weight += more.weight
            counts.weight_of_class.update(more.weight_of_class)
            counts.missing += more.missing
            counts.files |= more.files
            for name, path in more.files_with_missing.items():
                counts.files_with_missing[name] = min(path, counts.files_with_missing.get(name, path))
        self._oddities.merge(other._oddities)
        return self

    def add_unknown(self, names: Iterable[str], path: Path) -> None:
        """Records columns of a file that the spec does not know."""
        self._oddities.add_unknown(names, path)

    def remarks(self) -> list[str]:
        """Oddities that are not errors, a sentence each."""
        return self._oddities.remarks()

    def summary(self) -> dict[Split, SplitSummary]:
        """Rows and labels of each split."""
        return {split: {"rows": counts.rows, "labels": counts.labels} for split, counts in self._splits.items()}

    def missing_shares(self, split: Split) -> dict[str, float]:
        """Feature -> the share of the split's rows that lack its column."""
        counts = self._splits[split]
        return {name: counts.missing[name] / max(counts.rows, 1) for name in self._spec.features}

    def verify(self) -> None:
        """Judges the counts.

        Raises:
            DataError: a split is empty or has the same label in all rows, a column is missing more often than its
                feature allows, or times are not in one unit. The message has a line for each problem.
        """
        problems = self._oddities.problems() or [line for split in SPLITS for line in self._problems(split)]
        if problems:
            raise DataError("\n".join(problems))

    def _problems(self, split: Split) -> Iterator[str]:
        counts = self._splits[split]
        if not counts.rows:
            yield f"{split} split: expected rows, received none; {self._more_rows()}"
            return
        if counts.lowest == counts.highest:
            yield f"{min(counts.files)}: {self._spec.label.column}: {self._same_label(split, counts)}"
        elif self._spec.weight:
            yield from self._weightless(split, counts)
        for name, missing in sorted(counts.missing.items()):
            allowed = self._spec.features[name].max_missing
            if missing > allowed * counts.rows:
                path = counts.files_with_missing[name]
                place = first_missing(path, self._spec, name)
                yield (
                    f"{path}: {place}: {name}: expected a value in at least {100 * (1 - allowed):.3g}% of the rows of "
                    f"the {split} split, received none in {missing:,} of {counts.rows:,} (first here); "
                    f"mend the data, add the column to 'ignore' or raise features.{name}.max_missing"
                )

    def _more_rows(self) -> str:
        if splits_by_hash(self._spec) and (key := key_columns(self._spec)):
            return (
                f"rows that are alike in {listing(key)} stay together, so say splits.key with columns of more "
                "different values, or add more data"
            )
        return "change 'splits', or add more data"

    def _weightless(self, split: Split, counts: _Counts) -> Iterator[str]:
        """Problems with the weights: rows without any weight neither train nor judge a model."""
        column = f"{min(counts.files)}: {self._spec.weight}"
        expected = f"expected weights above 0 in the {split} split"
        if not counts.weight:
            yield f"{column}: {expected}, received 0 in all of its {counts.rows:,} rows"
        elif self._spec.label.kind == "binary":
            for label in (1, 0):
                if not counts.weight_of_class[label]:
                    yield f"{column}: {expected} for rows of both labels, received 0 in all rows with the label {label}"

    def _same_label(self, split: Split, counts: _Counts) -> str:
        label, everywhere = self._spec.label, f"in all of its {counts.rows:,} rows"
        if label.kind == "binary":
            rule = "1" if label.positive is None else label.positive
            return (
                f"expected labels of both classes in the {split} split, received {counts.lowest:.0f} {everywhere}; "
                f"check which values are positive ({rule}); {label.column} holds {self._values(counts)}"
            )
        return f"expected labels that differ in the {split} split, received the same {everywhere}"

    def _values(self, counts: _Counts) -> str:
        """The most frequent values of the label's column in the files of the split."""
        found = frequent_values(sorted(counts.files), self._spec, self._spec.label.column, _FEW)
        return ", ".join(f"{value!r} in {rows:,} row{'s' * (rows != 1)}" for value, rows in found)
