"""What is odd about the values of a dataset, and shows only over all of its rows: gathered batch by batch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from schema.errors import listing
from schema.feature_spec import FeatureSpec, Numeric, TimeSplits
from schema.precision import coarse
from schema.reader import first_place
from schema.times import in_unit, unit_since_1970

_LINE_BREAK = "[\r\n]"


@dataclass
class _Range:
    """The extremes of a column, and a file that each is in."""

    lowest: float = math.inf
    highest: float = -math.inf
    lowest_file: Path | None = None
    highest_file: Path | None = None
    values: int = 0

    def add(self, column: pa.Array, path: Path) -> None:
        """Adds the values of a column that are from a file."""
        values = len(column) - column.null_count
        if values:
            extremes = pc.min_max(column).as_py()
            self.merge(_Range(extremes["min"], extremes["max"], path, path, values))

    def merge(self, other: _Range) -> None:
        """Takes over another range."""
        if other.lowest < self.lowest:
            self.lowest, self.lowest_file = other.lowest, other.lowest_file
        if other.highest > self.highest:
            self.highest, self.highest_file = other.highest, other.highest_file
        self.values += other.values


class Oddities:
    """An accumulator: `add` batches, in any order and on any number of workers, `merge` what they have gathered.

    Args:
        spec: a resolved spec.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec = spec
        self._times = _Range()
        self._numbers = {name: _Range() for name, feature in spec.features.items() if isinstance(feature, Numeric)}
        self._unknown: dict[str, Path] = {}
        self._line_breaks: Counter[str] = Counter()

    def add(self, rows: pa.RecordBatch, path: Path) -> None:
        """Looks at rows of the file `path`."""
        if isinstance(self._spec.splits, TimeSplits):
            self._times.add(rows[self._spec.splits.column], path)
        for name, numbers in self._numbers.items():
            numbers.add(rows[name], path)
        for name in self._spec.features.keys() - self._numbers.keys():
            column = rows[name]
            values = column.flatten() if pa.types.is_list(column.type) else column
            if pa.types.is_string(values.type):
                self._line_breaks[name] += pc.sum(pc.match_substring_regex(values, _LINE_BREAK)).as_py() or 0

    def add_unknown(self, names: Iterable[str], path: Path) -> None:
        """Notes columns of a file of which the spec knows nothing."""
        for name in names:
            self._unknown[name] = min(path, self._unknown.get(name, path))

    def merge(self, other: Oddities) -> Self:
        """Takes over what another accumulator has gathered."""
        self._times.merge(other._times)
        for name, numbers in self._numbers.items():
            numbers.merge(other._numbers[name])
        self._line_breaks += other._line_breaks
        for name, path in other._unknown.items():
            self.add_unknown([name], path)
        return self

    def problems(self) -> list[str]:
        """What makes the splits wrong: times that are not all in one unit."""
        return list(self._units())

    def _units(self) -> Iterator[str]:
        splits, times = self._spec.splits, self._times
        if not isinstance(splits, TimeSplits) or times.lowest_file is None or times.highest_file is None:
            return
        lowest, highest = unit_since_1970(times.lowest), unit_since_1970(times.highest)
        if lowest and highest and lowest != highest:
            place = first_place(
                times.highest_file, self._spec, splits.column, lambda column: pc.equal(column, times.highest)
            )
            yield (
                f"{times.highest_file}: {place}: {splits.column}: expected {lowest} since 1970, as {times.lowest:.0f} "
                f"in {times.lowest_file}, received {times.highest:.0f}, which are {highest}; bring all to one unit"
            )
        boundary = splits.boundaries[0] if splits.boundaries else None
        unit = unit_since_1970(boundary) if boundary is not None else None
        if boundary is not None and splits.boundaries and lowest and unit == "seconds" and unit != lowest:
            numbers = listing(f"{in_unit(each, lowest):.0f}" for each in splits.boundaries)
            yield (
                f"splits.boundaries: expected numbers like the column's, which are {lowest} since 1970 "
                f"({times.lowest:.0f} in {times.lowest_file}), received {boundary:.0f}, seconds, as dates are; "
                f"say boundaries: [{numbers}]"
            )

    def remarks(self) -> list[str]:
        """What is odd and no mistake, a sentence each."""
        return [
            *(
                f"{path} has the column {name!r}, which no row had that was looked at before; it is not used"
                for name, path in sorted(self._unknown.items())
            ),
            *(
                f"{name}: {said}"
                for name, numbers in self._numbers.items()
                if numbers.values and (said := coarse(numbers.lowest, numbers.highest, numbers.values))
            ),
            *(
                f"{name}: {count:,} values have line breaks in them, which no vocabulary holds: each counts as unknown"
                for name, count in self._line_breaks.items()
                if count
            ),
        ]
