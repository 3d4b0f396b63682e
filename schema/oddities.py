"""Oddities in the values of a dataset that show only over all of its rows: gathered batch by batch."""

from __future__ import annotations

import datetime
import functools
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
from schema.times import in_unit, is_calendar, unit_since_1970

_LINE_BREAK = "[\r\n]"


_SECONDS = "seconds since 1970"


def _unit(number: float) -> str | None:
    """The unit of a time, if its size reveals it."""
    if unit := unit_since_1970(number):
        return f"{unit} since 1970"
    return "dates such as 20261129" if is_calendar(number) else None


def _as(since_1970: float, unit: str) -> str:
    """Converts seconds since 1970 to another unit, as a text."""
    if unit.startswith("dates"):
        return datetime.datetime.fromtimestamp(since_1970, datetime.UTC).strftime("%Y%m%d")
    return f"{in_unit(since_1970, unit.split()[0]):.0f}"


@dataclass
class _Range:
    """The extremes and the number of values of a column."""

    lowest: float = math.inf
    highest: float = -math.inf
    values: int = 0

    def add(self, column: pa.Array) -> None:
        """Adds the values of a column."""
        values = len(column) - column.null_count
        if values:
            extremes = pc.min_max(column).as_py()
            self.merge(_Range(extremes["min"], extremes["max"], values))

    def merge(self, other: _Range) -> None:
        """Adds the values of another range."""
        self.lowest, self.highest = min(self.lowest, other.lowest), max(self.highest, other.highest)
        self.values += other.values


class Oddities:
    """Finds oddities in the values of a dataset.

    An accumulator: `add` batches, in any order and on any number of workers, then `merge` the accumulators.

    Args:
        spec: a resolved spec.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec = spec
        self._times: dict[Path, _Range] = {}
        self._numbers = {name: _Range() for name, feature in spec.features.items() if isinstance(feature, Numeric)}
        self._unknown: dict[str, Path] = {}
        self._line_breaks: Counter[str] = Counter()

    def add(self, rows: pa.RecordBatch, path: Path) -> None:
        """Adds rows of the file `path`."""
        if isinstance(self._spec.splits, TimeSplits):
            self._times.setdefault(path, _Range()).add(rows[self._spec.splits.column])
        for name, numbers in self._numbers.items():
            numbers.add(rows[name])
        for name in self._spec.features.keys() - self._numbers.keys():
            column = rows[name]
            values = column.flatten() if pa.types.is_list(column.type) else column
            if pa.types.is_string(values.type):
                self._line_breaks[name] += pc.sum(pc.match_substring_regex(values, _LINE_BREAK)).as_py() or 0

    def add_unknown(self, names: Iterable[str], path: Path) -> None:
        """Records columns of a file that the spec does not know."""
        for name in names:
            self._unknown[name] = min(path, self._unknown.get(name, path))

    def merge(self, other: Oddities) -> Self:
        """Adds the contents of another accumulator."""
        for path, times in other._times.items():
            self._times.setdefault(path, _Range()).merge(times)
        for name, numbers in self._numbers.items():
            numbers.merge(other._numbers[name])
        self._line_breaks += other._line_breaks
        for name, path in other._unknown.items():
            self.add_unknown([name], path)
        return self

    def problems(self) -> list[str]:
        """Errors that make the splits wrong: times that are not all in one unit."""
        return list(self._units())

    def _units(self) -> Iterator[str]:
        splits, files = self._spec.splits, {path: times for path, times in self._times.items() if times.values}
        if not isinstance(splits, TimeSplits) or not files:
            return
        first = min(files)
        # The latest time of a file decides its unit, since 0 and -1 may stand for missing times.
        unit = _unit(files[first].highest)
        for path, times in sorted(files.items()):
            odd = next((each for each in (times.highest, times.lowest) if _unit(each) not in (None, unit)), None)
            if odd is None and _unit(times.highest) != unit:
                odd = times.highest
            if odd is not None:
                place = first_place(path, self._spec, splits.column, functools.partial(pc.equal, odd))
                yield (
                    f"{path}: {place}: {splits.column}: expected {unit or 'numbers'}, as {files[first].highest:.0f} in "
                    f"{first}, received {odd:.0f}{f', {_unit(odd)}' if _unit(odd) else ''}; convert all to one unit"
                )
                return
        boundary = splits.boundaries[0] if splits.boundaries else None
        if boundary is None or not unit or _unit(boundary) != _SECONDS or unit == _SECONDS:
            return
        yield (
            f"splits.boundaries: expected numbers like the column's, {unit} ({files[first].highest:.0f} in {first}), "
            f"received {boundary:.0f}, {_SECONDS}, as dates are; say boundaries: "
            f"[{listing(_as(each, unit) for each in splits.boundaries or ())}]"
        )

    def _before_1970(self) -> Iterator[str]:
        """Remarks on times at or before 1970 beside later ones, which probably stand for missing times."""
        for path, times in sorted(self._times.items()):
            if times.values and times.lowest <= 0 and _unit(times.highest) == _SECONDS:
                assert isinstance(self._spec.splits, TimeSplits), "else there are no times"
                yield (
                    f"{path}: {self._spec.splits.column}: the earliest time is {times.lowest:.0f}; if that stands for "
                    "a missing one, remove such rows, since all of them are trained on"
                )
                return

    def remarks(self) -> list[str]:
        """Oddities that are not errors, a sentence each."""
        return [
            *self._before_1970(),
            *(
                f"{path} has the column {name!r}, which no row of the samples had; it is not used"
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
