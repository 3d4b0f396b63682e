"""Infers the types of a dataset's columns from a sample of each of its files.

Parquet and TFRecord files say whether a value is a text or a number. CSV files hold only texts, so a column has the
narrowest type that fits all of its values. A column that holds numbers in the first file is numeric, and the reader
refuses other values in later files. A column that holds texts only because of a few values, or only in the first files,
is read as texts: this loses nothing but is seldom intended, so there is a remark.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

import pyarrow as pa
import pyarrow.compute as pc

from schema import times
from schema.conversion import DIGITS_LOST, BadValueError, column_type, is_list, is_text, is_time, is_whole, plain
from schema.errors import DataError, listing
from schema.feature_spec import Categorical, ColumnType, FeatureSpec, Multivalent, TimeSplits
from schema.raw_file import RawFile, open_file

_MOST = 0.9
"""The share of numbers in a column of texts from which there is a remark on the other values."""
_SOME = 0.4
"""This share if the other values are only a few different marks."""
_LEAST = 10
"""The smallest count of numbers beside a few marks for a remark."""
_SHOWN = 3
"""The number of different other values that a remark lists, and the largest number of a few marks."""

_DIGITS = "^[+-]?[0-9]+$"
_WHOLE = r"^[+-]?[0-9]+(\.0*)?$"
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}\b"
_AMOUNT = r"^[^\w\s]?\s?[+-]?[0-9]{1,3}([,.' ]?[0-9]{3})*([.,][0-9]+)?\s?[^\w\s]?$"
"""Numbers with thousands separators, or with a sign for a currency or percent."""


@dataclass(frozen=True)
class Inference:
    """The columns of a dataset, as inferred from samples.

    Attributes:
        columns: name -> type.
        times: the columns that hold dates and times.
        whole: the columns of floats that hold only whole numbers in the samples.
        unused: the columns that only some files have and the description does not name.
        empty: the files without rows.
        remarks: oddities that are not errors, a sentence each.
    """

    columns: Mapping[str, ColumnType]
    times: Collection[str] = ()
    whole: Collection[str] = ()
    unused: Collection[str] = ()
    empty: Collection[Path] = ()
    remarks: Sequence[str] = ()


@dataclass
class _Look:
    """The look of a column's values, over the samples that were added."""

    typed: set[ColumnType] = field(default_factory=set)
    """The types that the files declare; for lists, the types of their entries."""
    read_as: ColumnType | None = None
    """The type that fits all texts; None if there were no texts."""
    lists: int = 0
    singles: int = 0
    """The numbers of samples with lists and with single values."""
    has_times: bool = False
    whole: bool = True
    has_names: bool = False
    """Whether there are digits that a number would not keep, such as the zip code 02139."""
    values: int = 0
    numbers: int = 0
    amounts: int = 0
    dates: int = 0
    odd: Counter[str] = field(default_factory=Counter)
    """Texts that are neither numbers nor dates."""
    first_odd: str = ""
    """The place of the first of these texts."""
    numeric: ColumnType | None = None
    """The type that fits the values of the files that hold only numbers."""
    numeric_file: Path | None = None
    """The first file that holds only numbers."""
    begins_as: Literal["numbers", "texts"] | None = None
    """The kind of values in the first file that has any."""

    def add(self, path: Path, array: pa.Array, file: RawFile) -> None:
        """Adds a sample from the beginning of a file."""
        if is_list(array.type):
            # A tf.Example holds only lists: if none is longer than one, they are single values.
            self.lists += file.every_row_alike or (pc.max(pc.list_value_length(array)).as_py() or 0) > 1
            array = array.flatten()
        elif not pa.types.is_null(array.type):
            self.singles += 1
        if pa.types.is_null(array.type):
            return
        if is_text(array.type):
            self.typed |= {"string"} if file.has_types else set()
            self._add_texts(path, array, file)
        else:
            self.typed.add(column_type(array.type))
            self._add_numbers(path, array)

    def _add_numbers(self, path: Path, array: pa.Array) -> None:
        self.has_times |= is_time(array.type)
        self.values += len(array) - array.null_count
        self.numbers += len(array) - array.null_count
        self._are_numbers(path, column_type(array.type))
        if not (is_whole(array.type) or is_time(array.type) or pa.types.is_boolean(array.type)):
            numbers = array.drop_null().cast(pa.float64(), safe=False)
            self.whole &= pc.all(pc.equal(numbers, pc.floor(numbers))).as_py() is not False

    def _add_texts(self, path: Path, texts: pa.Array, file: RawFile) -> None:
        found = texts.drop_null()
        if not len(found):
            return
        kind, are_times = _texts_are(found)
        self.read_as = kind if self.read_as is None else _wider(self.read_as, kind)
        self.values += len(found)
        if kind == "string":
            self._add_odd(path, texts, file)
            return
        self.has_times |= are_times
        self.numbers += 0 if are_times else len(found)
        self.dates += len(found) if are_times else 0
        self.whole &= kind == "integer" or _all(found, _WHOLE)
        if not file.has_types:
            self._are_numbers(path, kind)

    def _are_numbers(self, path: Path, kind: ColumnType) -> None:
        self.begins_as = self.begins_as or "numbers"
        self.numeric_file = self.numeric_file or path
        self.numeric = _wider(self.numeric or kind, kind)

    def _add_odd(self, path: Path, texts: pa.Array, file: RawFile) -> None:
        """Adds texts that do not all have another type."""
        self.begins_as = self.begins_as or "texts"
        self.has_names |= _any(texts, DIGITS_LOST)
        is_number, is_date = pc.match_substring_regex(texts, _NUMBER), _are_dates(texts)
        numbers, dates = pc.sum(is_number).as_py(), pc.sum(is_date).as_py()
        self.numbers += numbers
        self.dates += dates
        is_odd = pc.invert(is_number if numbers > dates else is_date)
        self.amounts += pc.sum(pc.and_(is_odd, pc.match_substring_regex(texts, _AMOUNT))).as_py()
        for each in pc.value_counts(texts.filter(is_odd)).to_pylist():
            self.odd[each["values"]] += each["counts"]
        if self.odd and not self.first_odd:
            self.first_odd = f"{path}: {file.place(pc.index(is_odd, True).as_py())}"

    @property
    def known(self) -> bool:
        """Whether there was a value to infer a type from."""
        return self.read_as is not None or bool(self.typed)

    @property
    def kind(self) -> ColumnType:
        """The type that fits all values."""
        element: ColumnType = self.read_as or "string"
        if self.typed == {"string"}:
            element = "string"
        elif self.typed:
            # Beside typed numbers, texts count as the type that they can be read as.
            element = functools.reduce(_wider, self.typed - {"string"})
            element = _wider(element, self.read_as or element)
        if element == "string" and self.begins_as == "numbers" and self.numeric and not self.has_names:
            element = self.numeric
        # The reader refuses lists beside single values, unless each list has one value.
        return cast(ColumnType, element + "s" * (self.lists > 0 and not self.singles))

    def remark(self, name: str) -> str | None:
        """A remark on a column of texts that is probably meant to hold something else."""
        if self.kind != "string" or self.has_names or not self.odd:
            return None
        shown = listing((f"{value!r} ({count:,})" for value, count in self.odd.most_common()), _SHOWN)
        as_texts = f"so the column is read as texts; say columns: {{{name}: string}} if that is meant"
        nearly = self.numbers + self.amounts >= _MOST * self.values
        few_marks = len(self.odd) <= _SHOWN and self.numbers >= max(_LEAST, _SOME * self.values)
        if nearly or few_marks:
            mend = (
                "write numbers without signs and thousands separators"
                if self.amounts > len(self.odd) / 2
                else "list what stands for a missing value in source.null_values, beside those that it has by default, "
                "or mend the data"
            )
            return (
                f"{self.first_odd}: {name}: {self.numbers:,} of the {self.values:,} values looked at are numbers, "
                f"others are not: {shown}, {as_texts}; else {mend}"
            )
        if self.dates >= _MOST * self.values:
            return (
                f"{self.first_odd}: {name}: {self.dates:,} of the {self.values:,} values looked at are dates or "
                f"times, others are not: {shown}, {as_texts}; else mend the data"
            )
        if self.numeric_file:
            return (
                f"{self.first_odd}: {name}: all sampled values in {self.numeric_file} are numbers, here "
                f"are others: {shown}, {as_texts}"
            )
        return None


def inspect(files: Sequence[Path], spec: FeatureSpec) -> Inference:
    """Infers the columns of a dataset from a sample of each file.

    The columns are those of the first file that has rows, and those that the description names. Rows of TFRecord files
    may lack columns, so these files contribute the columns of all samples.

    Args:
        files: the files, in their order.
        spec: the description, which says how the files are written. Columns in `ignore` are not read.

    Raises:
        DataError: no file has rows, the beginning of a file is damaged, or a column has a type that no feature takes.
    """
    looks: dict[str, _Look] = {}
    empty, first, partial, seen = [], None, dict[str, str](), set[str]()
    for path in files:
        file = open_file(path, spec.source)
        seen |= set(file.names)
        names = [name for name in file.names if name and name not in spec.ignore]
        sample = file.sample(names, 1 / len(files))
        if sample is None:
            empty.append(path)
            continue
        first = first or path
        for name in names:
            if path != first and file.every_row_alike and name not in looks:
                partial.setdefault(name, f"{path} has the column {name!r}, which {first} lacks")
            else:
                _look(looks.setdefault(name, _Look()), name, path, sample[name], file, spec)
    if first is None:
        raise DataError(f"{listing(map(str, files), 3)}: expected rows, received none")
    unknown = [name for name, look in looks.items() if not look.known and name not in spec.columns]
    _look_further(looks, unknown, files, spec)

    named = spec.named_columns()
    remarks = [f"{said}; it is not used" for name, said in partial.items() if name not in named]
    remarks += [remark for name, look in looks.items() if _is_open(name, spec) and (remark := look.remark(name))]
    if "" in seen:
        remarks.append("a column without a name is not used; give it one, or remove it")
    if empty:
        remarks.append(f"{listing(map(str, empty), 3)}: skipped, without rows")
    columns = {name: look.kind for name, look in looks.items()}
    time = spec.splits.column if isinstance(spec.splits, TimeSplits) else None
    if time in looks and columns[time] == "string":
        # In the column to split by, texts of numbers are numbers, whatever type the file declares.
        columns[time] = looks[time].read_as or "string"
    return Inference(
        columns={**columns, **dict.fromkeys(sorted(seen & {*spec.ignore, *(set(partial) & named)}), "string")},
        times=[name for name, look in looks.items() if look.has_times and columns[name] != "string"],
        whole=[name for name, look in looks.items() if look.whole and look.kind in ("float", "floats")],
        unused=[name for name in partial if name not in named],
        empty=empty,
        remarks=remarks,
    )


def _look(look: _Look, name: str, path: Path, array: pa.Array, file: RawFile, spec: FeatureSpec) -> None:
    try:
        column_type(array.type)  # raises for unsupported types such as lists of lists
        look.add(path, plain(array, spec.source.null_values), file)
    except BadValueError as error:
        if name not in spec.columns:
            place = f" {file.place(error.row)}:" if error.row >= 0 else ""
            raise DataError(f"{path}:{place} {error.of(name)}") from None


def _look_further(looks: Mapping[str, _Look], names: Sequence[str], files: Sequence[Path], spec: FeatureSpec) -> None:
    """Reads beyond the samples until the named columns, which had no value in any sample, have one."""
    for path in files if names else ():
        file = open_file(path, spec.source)
        for batch in file.batches([name for name in names if name in file.names]):
            for name in batch.schema.names:
                if not looks[name].known:
                    _look(looks[name], name, path, batch[name], file, spec)
            if all(looks[name].known for name in names):
                return


def _is_open(name: str, spec: FeatureSpec) -> bool:
    """Whether the description leaves the type of a column open."""
    described = isinstance(spec.features.get(name), Categorical | Multivalent)
    return not described and name not in spec.columns and name not in {label.column for label in spec.labels.values()}


def _texts_are(texts: pa.Array) -> tuple[ColumnType, bool]:
    """The type that fits all texts of a column, and whether they are dates and times.

    Digits that a number would not keep, such as the zip code 02139 or an id of 20 digits, make it a column of strings.
    """
    if _any(texts, DIGITS_LOST):
        return "string", False
    if _all(texts, _DIGITS) or _parses(texts, pa.bool_()):
        return "integer", False
    if _parses(texts, pa.float64()):
        return "float", False
    try:
        times.seconds(texts)
    except pa.ArrowInvalid:
        return "string", False
    return "integer", True


def _are_dates(texts: pa.Array) -> pa.Array:
    """Which texts are dates or times."""
    look_like = pc.fill_null(pc.match_substring_regex(texts, _DATE), False)
    candidates = texts.filter(look_like).unique()
    return pc.is_in(texts, candidates.filter(pa.array([_is_date(each) for each in candidates], pa.bool_())))


def _is_date(text: pa.Scalar) -> bool:
    try:
        times.seconds(pa.array([text.as_py()]))
    except pa.ArrowInvalid:
        return False
    return True


def _any(texts: pa.Array, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(texts, pattern)).as_py())


def _all(texts: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(texts, pattern)).as_py())


def _parses(texts: pa.Array, kind: pa.DataType) -> bool:
    try:
        texts.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def _wider(one: ColumnType, other: ColumnType) -> ColumnType:
    """The narrowest type that fits the values of both types."""
    kinds = {one, other}
    return one if len(kinds) == 1 else "string" if "string" in kinds else "float"
