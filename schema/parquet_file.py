"""One Parquet file as batches."""

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
        row_group: index of the row group to which the batches are limited; None: all.

    Raises:
        DataError: no Parquet file.
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
        """Rows from the beginning of the file.

        Raises:
            DataError: a broken file.
        """
        rows = sample_size(min(_BATCH_ROWS, _SAMPLED_VALUES // max(1, len(names))), share)
        return next((batch for batch in self._read(names, rows) if len(batch)), None)

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The columns of that name, as they are.

        Raises:
            DataError: a broken file.
        """
        yield from self._read(names, _BATCH_ROWS)

    def _read(self, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._file.iter_batches(rows, row_groups=self._groups, columns=list(names))
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{self._path}: expected a whole Parquet file, received a broken one: {error}") from None

    def place(self, row: int) -> str:
        """What people call the row of that index."""
        return f"row {self.first_row + row + 1}"
