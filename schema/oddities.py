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

    def add(self, lowest: float, highest: float, lowest_file: Path | None, highest_file: Path | None) -> None:
        if lowest < self.lowest:
            self.lowest, self.lowest_file = lowest, lowest_file
        if highest > self.highest:
            self.highest, self.highest_file = highest, highest_file


class Oddities:
    """An accumulator: `add` batches, in any order and on any number of workers, `merge` what they have gathered.

    Args:
        spec: a resolved spec.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec = spec
        self._times = _Range()
        self._unknown: dict[str, Path] = {}
        self._line_breaks: Counter[str] = Counter()

    def add(self, rows: pa.RecordBatch, path: Path) -> None:
        """Looks at rows of the file `path`."""
        if isinstance(self._spec.splits, TimeSplits) and len(rows):
            extremes = pc.min_max(rows[self._spec.splits.column]).as_py()
            self._times.add(extremes["min"], extremes["max"], path, path)
        for name, feature in self._spec.features.items():
            column = rows[name]
            values = column.flatten() if pa.types.is_list(column.type) else column
            if not isinstance(feature, Numeric) and pa.types.is_string(values.type):
                self._line_breaks[name] += pc.sum(pc.match_substring_regex(values, _LINE_BREAK)).as_py() or 0

    def add_unknown(self, names: Iterable[str], path: Path) -> None:
        """Notes columns of a file of which the spec knows nothing."""
        for name in names:
            self._unknown[name] = min(path, self._unknown.get(name, path))

    def merge(self, other: Oddities) -> Self:
        """Takes over what another accumulator has gathered."""
        more = other._times
        self._times.add(more.lowest, more.highest, more.lowest_file, more.highest_file)
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
                f"{name}: {count:,} values have line breaks in them, which no vocabulary holds: each counts as unknown"
                for name, count in self._line_breaks.items()
                if count
            ),
        ]
