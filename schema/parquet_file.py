"""Reads a Parquet file in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from schema.errors import DataError
from schema.sampling import sample_size

_BATCH_ROWS = 1 << 16
_SAMPLED_VALUES = 5_000_000


class ParquetFile:
    """A Parquet file, or one row group of it.

    Args:
        path: the file.
        row_group: the index of the only row group to read; None reads all.

    Raises:
        DataError: the file is not a Parquet file, or repeats a column's name.
    """

    has_types: ClassVar[bool] = True
    every_row_alike: ClassVar[bool] = True

    def __init__(self, path: Path, row_group: int | None = None) -> None:
        self._path = path
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{path}: expected a Parquet file, received something else: {error}") from None
        metadata = self._file.metadata
        self.row_groups: int = metadata.num_row_groups
        self._groups = list(range(self.row_groups)) if row_group is None else [row_group]
        self.first_row: int = sum(metadata.row_group(group).num_rows for group in range(row_group or 0))
        self.names: Sequence[str] = self._file.schema_arrow.names
        for name in self.names:
            if self.names.count(name) > 1:
                raise DataError(f"{path}: expected each column once, received {name!r} twice")

    def sample(self, names: Sequence[str], share: float) -> pa.RecordBatch | None:
        """Rows from the beginning of the file; None if there are none.

        Raises:
            DataError: the file is damaged.
        """
        rows = sample_size(min(_BATCH_ROWS, _SAMPLED_VALUES // max(1, len(names))), share)
        return next((batch for batch in self._read(names, rows) if len(batch)), None)

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The named columns, in the types of the file.

        Raises:
            DataError: the file is damaged.
        """
        yield from self._read(names, _BATCH_ROWS)

    def _read(self, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._file.iter_batches(rows, row_groups=self._groups, columns=list(names))
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{self._path}: expected a whole Parquet file, received a broken one: {error}") from None

    def place(self, row: int) -> str:
        """The name of a row for people, such as `row 12`, which counts from 1 in the file."""
        return f"row {self.first_row + row + 1}"
