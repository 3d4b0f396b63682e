"""A file of rows, whatever its format, and which format a file has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal, Protocol

import pyarrow as pa

from schema.csv_file import CsvFile
from schema.errors import DataError, listing
from schema.parquet_file import ParquetFile
from schema.rows import Source
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
    """A file of rows."""

    has_types: ClassVar[bool]
    """Whether it says what is a text and what a number; else all are texts."""
    every_row_alike: ClassVar[bool]
    """Whether all rows have the same columns, and a column that the first rows lack is missing from the file. Else all
    values are lists, of which one in most rows is the only value."""

    @property
    def names(self) -> Sequence[str]:
        """The columns of the file, as far as it has been read; none of a file without a header or rows."""

    @property
    def first_row(self) -> int:
        """The place in the file of the first row that `batches` gives."""

    def sample(self, names: Sequence[str], share: float) -> pa.RecordBatch | None:
        """Rows from the file's beginning, in whatever types it holds them; None if it has none.

        Args:
            names: the columns.
            share: how much is looked at, of what is usual for a file.
        """

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Some columns, in whatever types the file holds them."""

    def place(self, row: int) -> str:
        """What people call the row of that index, counted from 0 in what `batches` gives."""


def open_file(path: Path, source: Source, part: int | None = None) -> RawFile:
    """Opens a file.

    Args:
        path: the file.
        source: how it is written.
        part: of a Parquet file the row group to which it is limited; None: all.

    Raises:
        DataError: no file of its format, or one whose format is not known.
    """
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
