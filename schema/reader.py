"""A dataset's files as batches of exactly what examples hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from schema.conversion import ARROW_TYPES, BadValueError, convert, labels, weights
from schema.csv_file import CsvFile
from schema.errors import DataError, listing, nearest
from schema.feature_spec import LABEL, WEIGHT, ColumnType, FeatureSpec, Multivalent, Source, TimeSplits
from schema.parquet_file import ParquetFile
from schema.tfrecord_file import TFRecordFile

Format = Literal["csv", "parquet", "tfrecord"]

ENDINGS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".tfrecord": "tfrecord",
    ".tfrecords": "tfrecord",
}
"""File formats by the ending of a file's name; `.gz` may follow those of CSV and TFRecord files."""


class RawFile(Protocol):
    """A file of rows, whatever its format."""

    every_row_alike: ClassVar[bool]
    """Whether a column that the first rows lack is missing from the file."""

    @property
    def names(self) -> Sequence[str]:
        """The columns of the file."""

    def column_types(self, names: Sequence[str]) -> dict[str, ColumnType]:
        """The types of some columns, as the file shows them."""

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Some columns, in whatever types the file holds them."""

    def place(self, row: int) -> str:
        """What people call the row of that index, counted from 0 in what `batches` gives."""


def column_types(path: Path, spec: FeatureSpec) -> dict[str, ColumnType]:
    """Name and type of each column of a file.

    Of CSV and TFRecord files, which do not say, it is told from their beginning.

    Args:
        path: the file.
        spec: says how the file is written. Columns to ignore and those whose type the spec gives are not looked at.

    Raises:
        DataError: a file without rows, or one that is broken at its beginning, or a column of which no feature can
            be made.
    """
    file = _open(path, spec.source)
    names = [name for name in file.names if name]
    looked_at = [name for name in names if name not in {*spec.ignore, *spec.columns}]
    found = file.column_types(looked_at)
    return {name: found.get(name, spec.columns.get(name, "string")) for name in names}


def parts(path: Path, spec: FeatureSpec) -> int:
    """In how many parts a file can be read independently: the row groups of a Parquet file, else 1."""
    file = _open(path, spec.source)
    return file.row_groups if isinstance(file, ParquetFile) else 1


def arrow_schema(spec: FeatureSpec) -> pa.Schema:
    """What the batches of a resolved spec hold."""
    fields = {name: ARROW_TYPES[kind] for name, kind in spec.columns.items()}
    own = [*spec.labels, WEIGHT] if spec.weight else spec.labels
    return pa.schema([*fields.items(), *((name, pa.float32()) for name in own)])


def read(
    path: Path, spec: FeatureSpec, *, part: int | None = None, only: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Reads a file batch by batch, checked and converted.

    Args:
        path: a CSV, Parquet or TFRecord file.
        spec: a resolved spec.
        part: index of the part to read, see `parts`; None: the whole file.
        only: columns of the result to limit it to; None: all.

    Yields:
        Batches with the columns of `arrow_schema(spec)`; a missing value is null, and NaN is a missing value.

    Raises:
        DataError: naming the file, the row as an editor would show it (in a CSV file the line, the header being line
            1), the column, what was expected, what was received and what to do.
    """
    file = _open(path, spec.source, part)
    wanted = arrow_schema(spec)
    wanted = wanted if only is None else pa.schema([wanted.field(name) for name in only])
    sources = {field.name: _source_column(spec, field.name) for field in wanted}
    raw_names = list(dict.fromkeys(sources.values()))
    for name in raw_names:
        if file.every_row_alike and name not in file.names:
            raise DataError(
                f"{path}: expected a column {name!r}, received the columns {listing(file.names)}"
                f"{nearest(name, file.names)}"
            )
    rows = 0
    for batch in file.batches(raw_names):
        arrays = []
        for name, raw_name in sources.items():
            try:
                arrays.append(_converted(spec, name, batch[raw_name]))
            except BadValueError as error:
                place = f" {file.place(rows + error.row)}:" if error.row >= 0 else ""
                raise DataError(f"{path}:{place} {error.of(raw_name)}") from None
        rows += len(batch)
        yield pa.RecordBatch.from_arrays(arrays, schema=wanted)
    if not rows:
        raise DataError(f"{path}: expected rows, received none")


def first_missing(path: Path, spec: FeatureSpec, column: str) -> str:
    """The place of the first row of a file in which a column has no value, such as `line 12`."""
    rows = 0
    for batch in read(path, spec, only=[column]):
        missing = is_missing(batch.column(0))
        row = pc.index(missing, True).as_py()
        if row >= 0:
            return _open(path, spec.source).place(rows + row)
        rows += len(batch)
    raise ValueError(f"{path} has a value of {column} in every row")


def frequent_values(paths: Iterable[Path], spec: FeatureSpec, column: str, most: int) -> list[tuple[object, int]]:
    """The most frequent values of a column, as the files hold them, with the number of their rows."""
    counts: Counter[object] = Counter()
    for path in paths:
        for batch in _open(path, spec.source).batches([column]):
            values = batch[column].flatten() if pa.types.is_list(batch[column].type) else batch[column]
            for each in values.value_counts().to_pylist():
                value = each["values"]
                counts[value.decode("utf-8", "replace") if isinstance(value, bytes) else value] += each["counts"]
    return counts.most_common(most)


def is_missing(column: pa.Array) -> pa.Array:
    """Which rows have no value: none at all, or an empty list."""
    if pa.types.is_list(column.type):
        return pc.equal(pc.fill_null(pc.list_value_length(column), 0), 0)
    return column.is_null()


def _open(path: Path, source: Source, part: int | None = None) -> RawFile:
    kind = source.format or told_format(path)
    if kind == "csv":
        return CsvFile(path, source)
    if kind == "parquet":
        return ParquetFile(path, part)
    if kind == "tfrecord":
        return TFRecordFile(path)
    raise DataError(
        f"{path}: expected a name that ends in one of {listing(ENDINGS)}, received {path.name!r}; "
        "rename the file or say source.format"
    )


def told_format(path: Path) -> Format | None:
    """The format that a file's name tells."""
    name = path.name.lower().removesuffix(".gz")
    return next((kind for ending, kind in ENDINGS.items() if name.endswith(ending)), None)


def _source_column(spec: FeatureSpec, name: str) -> str:
    if name in spec.labels:
        return spec.labels[name].column
    return spec.weight if name == WEIGHT and spec.weight else name


def _converted(spec: FeatureSpec, name: str, raw: pa.Array) -> pa.Array:
    if name in spec.labels:
        return labels(raw, spec.labels[name], required=name == LABEL)
    if name == WEIGHT:
        return weights(raw)
    feature = spec.features.get(name)
    separator = feature.separator if isinstance(feature, Multivalent) else None
    column = convert(raw, spec.columns[name], separator)
    if isinstance(spec.splits, TimeSplits) and name == spec.splits.column and column.null_count:
        raise BadValueError(pc.index(pc.is_null(column), True).as_py(), "a time in every row, to split by", None)
    return column
