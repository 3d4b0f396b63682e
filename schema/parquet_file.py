"""One Parquet file as batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from schema.conversion import BadValueError, column_type
from schema.errors import DataError
from schema.features import ColumnType

_BATCH_ROWS = 1 << 16


class ParquetFile:
    """A Parquet file, or one row group of it.

    Args:
        path: the file.
        row_group: index of the row group to which the batches are limited; None: all.

    Raises:
        DataError: no Parquet file, or without rows.
    """

    every_row_alike: ClassVar[bool] = True

    def __init__(self, path: Path, row_group: int | None = None) -> None:
        self._path = path
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{path}: expected a Parquet file, received something else: {error}") from None
        metadata = self._file.metadata
        if not metadata.num_rows:
            raise DataError(f"{path}: expected rows, received none")
        self.row_groups: int = metadata.num_row_groups
        self._groups = list(range(self.row_groups)) if row_group is None else [row_group]
        self._first_row: int = sum(metadata.row_group(group).num_rows for group in range(self._groups[0]))
        self.names: Sequence[str] = self._file.schema_arrow.names
        for name in self.names:
            if self.names.count(name) > 1:
                raise DataError(f"{path}: expected each column once, received {name!r} twice")

    def column_types(self, names: Sequence[str]) -> dict[str, ColumnType]:
        """The types of the columns."""
        empty = self._file.schema_arrow.empty_table()
        types = {}
        for name in names:
            try:
                types[name] = column_type(empty[name].combine_chunks())
            except BadValueError as error:
                raise DataError(f"{self._path}: {error.of(name)}") from None
        return types

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The columns of that name, as they are.

        Raises:
            DataError: a broken file.
        """
        try:
            yield from self._file.iter_batches(_BATCH_ROWS, row_groups=self._groups, columns=list(names))
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{self._path}: expected a whole Parquet file, received a broken one: {error}") from None

    def place(self, row: int) -> str:
        """What people call the row of that index."""
        return f"row {self._first_row + row + 1}"
