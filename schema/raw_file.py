"""Opens files of rows in any supported format."""

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
"""Ending of a file's name -> format. `.gz` may follow the endings of CSV and TFRecord files."""


class RawFile(Protocol):
    """A file of rows."""

    has_types: ClassVar[bool]
    """Whether the format distinguishes texts from numbers; else all values are texts."""
    every_row_alike: ClassVar[bool]
    """Whether all rows have the same columns, so that a column that the first rows lack is missing from the file. Else
    all values are lists, most of which have a single entry."""

    @property
    def names(self) -> Sequence[str]:
        """The columns of the file, as far as it has been read; empty for a file without a header or rows."""

    @property
    def first_row(self) -> int:
        """The place in the file of the first row that `batches` yields, from 0."""

    def sample(self, names: Sequence[str], share: float) -> pa.RecordBatch | None:
        """Rows from the file's beginning, in the types of the file; None if there are none.

        Args:
            names: the columns to read.
            share: this file's share of all files, which determines the size of the sample (see `sample_size`).
        """

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The named columns, in the types of the file."""

    def place(self, row: int) -> str:
        """The name of a row for people, such as `line 12`. `row` counts from 0 in what `batches` yields."""


def open_file(path: Path, source: Source, part: int | None = None) -> RawFile:
    """Opens a file of rows.

    Args:
        path: the file.
        source: how the file is written.
        part: the only row group to read of a Parquet file; None reads all.

    Raises:
        DataError: the contents do not match the format, or the format is unknown.
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
    """The format that a file's name suggests, if any."""
    name = path.name.lower().removesuffix(".gz")
    return next((kind for ending, kind in ENDINGS.items() if name.endswith(ending)), None)
