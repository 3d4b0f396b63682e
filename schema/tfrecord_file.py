"""One TFRecord file of tf.Examples as batches."""

from __future__ import annotations

import gzip
import struct
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import BinaryIO, ClassVar, cast

import google_crc32c
import pyarrow as pa
import pyarrow.compute as pc

from schema.conversion import column_type
from schema.errors import DataError
from schema.features import ColumnType

_BATCH_ROWS = 1 << 14


class TFRecordFile:
    """A TFRecord file of tf.Examples, plain or gzipped. An example without a feature misses its value.

    TensorFlow's own reader takes a file that breaks off within a record as one that ends before it, and so loses
    rows in silence; this one refuses it.

    Args:
        path: the file.

    Raises:
        DataError: at the first use of its content: an empty file, or a broken record.
    """

    every_row_alike: ClassVar[bool] = False

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def _first(self) -> pa.RecordBatch:
        batch = next(self._decoded(), None)
        if batch is None:
            raise DataError(f"{self._path}: expected rows, received an empty file")
        return batch

    @property
    def names(self) -> Sequence[str]:
        """The features that occur in the first batch; later ones may have more."""
        return list(self._first.schema.names)

    def column_types(self, names: Sequence[str]) -> dict[str, ColumnType]:
        """The types of the columns as far as the first batch shows them; lists where an example has several values.

        Raises:
            DataError: an empty file, or a broken record.
        """
        types = {}
        for name in names:
            column = self._first[name]
            several = pc.max(pc.list_value_length(column)).as_py() > 1
            types[name] = column_type(column if several else column.flatten())
        return types

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The columns of that name, as lists; null where an example has no such feature.

        Raises:
            DataError: a broken record, or one that is no tf.Example.
        """
        for batch in self._decoded():
            present = set(batch.schema.names)
            columns = [batch[name] if name in present else pa.nulls(len(batch)) for name in names]
            yield pa.RecordBatch.from_arrays(columns, list(names))

    def place(self, row: int) -> str:
        """What people call the row of that index."""
        return f"row {row + 1}"

    def _decoded(self) -> Iterator[pa.RecordBatch]:
        # Imported here, since nothing else in a dataset needs it.
        from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

        decode = ExamplesToRecordBatchDecoder().DecodeBatch
        records, done = self._records(), 0
        while batch := list(islice(records, _BATCH_ROWS)):
            try:
                yield decode(batch)
            except RuntimeError:
                row = bisect_left(range(len(batch)), True, key=lambda row: _fails(decode, batch[: row + 1]))
                raise DataError(f"{self._path}: {self.place(done + row)}: {_complaint(decode, batch[row])}") from None
            done += len(batch)

    def _records(self) -> Iterator[bytes]:
        """The records of the file: length, its checksum, content, its checksum."""
        with self._open() as stream:
            row = 0
            try:
                while header := stream.read(12):
                    length, checksum = struct.unpack("<QI", header)
                    _verify(header[:8], checksum)
                    content = stream.read(length)
                    _verify(content, *struct.unpack("<I", stream.read(4)))
                    yield content
                    row += 1
            except (struct.error, ValueError, OSError, EOFError, zlib.error):
                raise DataError(
                    f"{self._path}: {self.place(row)}: expected a TFRecord, received one that is cut off or damaged"
                    + ("; is the file a TFRecord file at all?" if row == 0 else "")
                ) from None

    def _open(self) -> BinaryIO:
        return cast(BinaryIO, gzip.open(self._path)) if self._path.suffix == ".gz" else self._path.open("rb")


Decode = Callable[[Sequence[bytes]], pa.RecordBatch]


def _fails(decode: Decode, records: Sequence[bytes]) -> bool:
    try:
        decode(records)
    except RuntimeError:
        return True
    return False


def _complaint(decode: Decode, record: bytes) -> str:
    """What is wrong with the first record that the decoder refuses."""
    if _fails(decode, [record]):
        return f"expected a serialized tf.Example, received {len(record)} bytes that are none"
    names = ", ".join(f"{field.name} ({field.type.value_type})" for field in decode([record]).schema)
    return f"expected features of the same types as in the rows before, received {names}"


def _verify(content: bytes, masked: int) -> None:
    checksum = google_crc32c.value(content)
    if masked != ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF:
        raise ValueError("wrong checksum")
