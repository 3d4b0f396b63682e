"""Reads a dataset's files as batches of the columns that examples hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schema.conversion import ARROW_TYPES, BadValueError, convert, labels, moments, plain, weights
from schema.errors import DataError, listing, nearest
from schema.feature_spec import LABEL, WEIGHT, FeatureSpec, Multivalent, Numeric, TimeSplits
from schema.identity import ROW, TIME, identities, key_columns, splits_by_hash
from schema.parquet_file import ParquetFile
from schema.raw_file import RawFile, open_file

_UNIT_SEPARATOR = "\x1f"


def parts(path: Path, spec: FeatureSpec) -> int:
    """The number of parts of a file that can be read independently: the row groups of a Parquet file, else 1."""
    file = open_file(path, spec.source)
    return file.row_groups if isinstance(file, ParquetFile) else 1


def first_row(path: Path, spec: FeatureSpec, part: int) -> int:
    """The place in a file of the first row of a part, from 0."""
    return open_file(path, spec.source, part).first_row


def arrow_schema(spec: FeatureSpec) -> pa.Schema:
    """The Arrow schema of the batches that `read` yields for a resolved spec."""
    fields = {name: ARROW_TYPES[kind] for name, kind in spec.columns.items()}
    own = [*spec.labels, WEIGHT] if spec.weight else spec.labels
    return pa.schema([*fields.items(), *((name, pa.float32()) for name in own)])


def read(
    path: Path,
    spec: FeatureSpec,
    *,
    part: int | None = None,
    only: Sequence[str] | None = None,
    called: str | None = None,
    unknown: set[str] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Reads a file batch by batch, checked and converted.

    Args:
        path: a CSV, Parquet or TFRecord file.
        spec: a resolved spec.
        part: the index of the part to read, see `parts`; None reads the whole file.
        only: the columns of the result; None keeps all.
        called: the name of the file in the identities of its rows, see `schema.identity`; None leaves out the columns
            that rows are split by.
        unknown: a set to which columns that the spec does not know are added, as rows of TFRecord files can have.

    Yields:
        Batches with the columns of `arrow_schema(spec)` and, if `called` is given, `schema.identity.ROW` or `TIME`, by
        which the spec splits. A missing value is null, and NaN is a missing value.

    Raises:
        DataError: the file does not fit the spec. The message names the file, the row as an editor shows it (in a CSV
            file the line, where the header is line 1), the column, what was expected, what was received and what to do.
    """
    file = open_file(path, spec.source, part)
    wanted = arrow_schema(spec)
    wanted = wanted if only is None else pa.schema([wanted.field(name) for name in only])
    sources = {field.name: _source_column(spec, field.name) for field in wanted}
    key = key_columns(spec) if called is not None else ()
    time = [spec.splits.column] if called is not None and isinstance(spec.splits, TimeSplits) else []
    raw_names = list(dict.fromkeys([*sources.values(), *key, *time]))
    rows = 0
    for batch in file.batches(_present(raw_names, file, path)):
        arrays, raw_name = {}, ""
        try:
            for name, raw_name in sources.items():
                arrays[name] = _converted(spec, name, batch[raw_name])
            if called is not None and splits_by_hash(spec):
                keys = {raw_name: batch[raw_name] for raw_name in key}
                first, marks = file.first_row + rows, spec.source.null_values
                arrays[ROW] = identities(keys, called, first, len(batch), marks, spec.times)
            if called is not None and isinstance(spec.splits, TimeSplits):
                raw_name = spec.splits.column
                marks, holds_times = spec.source.null_values, raw_name in spec.times
                arrays[TIME] = moments(batch[raw_name], marks=marks, holds_times=holds_times)
        except BadValueError as error:
            place = f" {file.place(rows + error.row)}:" if error.row >= 0 else ""
            raise DataError(f"{path}:{place} {error.of(raw_name)}") from None
        rows += len(batch)
        yield pa.RecordBatch.from_pydict(arrays)
    if unknown is not None:
        unknown |= set(file.names) - {"", *sources.values(), *spec.columns, *spec.ignore}


def _present(names: Sequence[str], file: RawFile, path: Path) -> Sequence[str]:
    """Returns the names, or raises if the file lacks one of these columns."""
    for name in names if file.every_row_alike else ():
        if name not in file.names:
            raise DataError(
                f"{path}: expected a column {name!r}, received the columns {listing(file.names)}"
                f"{nearest(name, file.names)}; add it to 'ignore' if it is no longer there"
            )
    return names


def first_missing(path: Path, spec: FeatureSpec, column: str) -> str:
    """The place of the first row of a file in which a column has no value, such as `line 12`."""
    return first_place(path, spec, column, is_missing)


def first_place(path: Path, spec: FeatureSpec, column: str, matches: Callable[[pa.Array], pa.Array]) -> str:
    """The place of the first row of a file whose value in a column matches, such as `line 12`.

    Raises:
        ValueError: there is no such row.
    """
    rows = 0
    for batch in read(path, spec, only=[column]):
        row = pc.index(matches(batch.column(0)), True).as_py()
        if row >= 0:
            return open_file(path, spec.source).place(rows + row)
        rows += len(batch)
    raise ValueError(f"no row of {path} has such a value of {column}")


def frequent_values(paths: Iterable[Path], spec: FeatureSpec, column: str, most: int) -> list[tuple[object, int]]:
    """The most frequent values of a column, as the files hold them, each with its count."""
    counts: Counter[object] = Counter()
    for path in paths:
        for batch in open_file(path, spec.source).batches([column]):
            values = plain(batch[column], ())
            values = values.flatten() if pa.types.is_list(values.type) else values
            values = values.cast(pa.float32()) if pa.types.is_decimal(values.type) else values
            for each in values.value_counts().to_pylist():
                counts[each["values"]] += each["counts"]
    return counts.most_common(most)


def is_missing(column: pa.Array) -> pa.Array:
    """Whether each row lacks a value (null or an empty list), boolean [rows]."""
    if pa.types.is_list(column.type):
        return pc.equal(pc.fill_null(pc.list_value_length(column), 0), 0)
    return column.is_null()


def _source_column(spec: FeatureSpec, name: str) -> str:
    if name in spec.labels:
        return spec.labels[name].column
    return spec.weight if name == WEIGHT and spec.weight else name


def _converted(spec: FeatureSpec, name: str, raw: pa.Array) -> pa.Array:
    marks = spec.source.null_values
    if name in spec.labels:
        return labels(raw, spec.labels[name], required=name == LABEL, marks=marks)
    if name == WEIGHT:
        return weights(raw, marks=marks)
    feature = spec.features.get(name)
    separator = feature.separator if isinstance(feature, Multivalent) else None
    column = convert(
        raw,
        spec.columns[name],
        separator,
        marks=marks,
        holds_times=name in spec.times,
        keep_digits=name in spec.by_default,
    )
    if isinstance(spec.splits, TimeSplits) and name == spec.splits.column and column.null_count:
        raise BadValueError(pc.index(pc.is_null(column), True).as_py(), "a time in every row, to split by", None)
    if feature is not None and not isinstance(feature, Numeric):
        _refuse_separators(column)
    return column


def _refuse_separators(column: pa.Array) -> None:
    """Raises for tokens that contain the character which joins tokens in vocabularies and crosses."""
    values, rows = column, np.arange(len(column))
    if pa.types.is_list(column.type):
        values, rows = column.flatten(), np.asarray(pc.list_parent_indices(column))
    if pa.types.is_string(values.type):
        found = pc.index(pc.match_substring(values, _UNIT_SEPARATOR), True).as_py()
        if found >= 0:
            raise BadValueError(
                int(rows[found]), "text without the control character U+001F", values[found].as_py(), "replace it"
            )
