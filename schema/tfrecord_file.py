"""Reads a TFRecord file of tf.Examples in batches."""

from __future__ import annotations

import gzip
import struct
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO, ClassVar, cast

import google_crc32c
import pyarrow as pa

from schema.errors import DataError
from schema.sampling import sample_size

_BATCH_ROWS = 1 << 14


class TFRecordFile:
    """A TFRecord file of tf.Examples, plain or gzipped. An example that lacks a feature has a missing value there.

    TensorFlow's own reader accepts a file that is cut off inside a record and silently loses rows. This reader refuses
    such a file.

    Args:
        path: the file. Errors in its contents are raised when they are read.
    """

    has_types: ClassVar[bool] = True
    every_row_alike: ClassVar[bool] = False
    first_row: int = 0

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names: dict[str, None] = {}

    @property
    def names(self) -> Sequence[str]:
        """The features of the examples that have been read, at least those of the first batch."""
        if not self._names:
            next(self._decoded(), None)
        return list(self._names)

    def sample(self, names: Sequence[str], share: float) -> pa.RecordBatch | None:
        """Rows from the beginning of the file; None if there are none.

        Raises:
            DataError: a record is damaged or is not a tf.Example.
        """
        batch = next(self._decoded(), None)
        return None if batch is None else self._of_names(batch.slice(0, sample_size(_BATCH_ROWS, share)), names)

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The named columns, as lists; null if an example has no such feature.

        Raises:
            DataError: a record is damaged or is not a tf.Example.
        """
        for batch in self._decoded():
            yield self._of_names(batch, names)

    @staticmethod
    def _of_names(batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
        present = set(batch.schema.names)
        columns = [batch[name] if name in present else pa.nulls(len(batch)) for name in names]
        return pa.RecordBatch.from_arrays(columns, list(names))

    def place(self, row: int) -> str:
        """The name of a row for people, such as `row 12`, which counts from 1."""
        return f"row {row + 1}"

    def _decoded(self) -> Iterator[pa.RecordBatch]:
        # Imported here, since only TFRecord files need it.
        from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

        decode = ExamplesToRecordBatchDecoder().DecodeBatch
        records, done = self._records(), 0
        while batch := list(islice(records, _BATCH_ROWS)):
            try:
                decoded = decode(batch)
            except RuntimeError:
                row = bisect_left(range(len(batch)), True, key=lambda row: _fails(decode, batch[: row + 1]))
                raise DataError(f"{self._path}: {self.place(done + row)}: {_complaint(decode, batch[row])}") from None
            for row, record in enumerate(batch):
                if _is_sequence_example(record):
                    raise DataError(
                        f"{self._path}: {self.place(done + row)}: expected a tf.Example, received a "
                        "tf.SequenceExample, whose feature_lists cannot be read; write lists as features of a "
                        "tf.Example"
                    )
            self._names |= dict.fromkeys(decoded.schema.names)
            yield decoded
            done += len(batch)

    def _records(self) -> Iterator[bytes]:
        """The contents of the file's records. A record is a length, its checksum, the content, and its checksum."""
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
    """The error message for the first record that the decoder refuses."""
    if _fails(decode, [record]):
        return f"expected a serialized tf.Example, received {len(record)} bytes that are none"
    names = ", ".join(f"{field.name} ({field.type.value_type})" for field in decode([record]).schema)
    return f"expected features of the same types as in the rows before, received {names}"


_FEATURES, _FEATURE_LISTS = 0x0A, 0x12
"""The tags of a tf.SequenceExample's two fields; a tf.Example has only the first one."""


def _is_sequence_example(record: bytes) -> bool:
    """Whether a record has `feature_lists`, which the decoder of tf.Examples skips."""
    place = 0
    while place < len(record) and record[place] == _FEATURES:
        length, shift, more = 0, 0, True
        while more:  # a varint: seven bits a byte, the lowest first
            place += 1
            length |= (record[place] & 0x7F) << shift
            shift, more = shift + 7, record[place] >= 0x80
        place += 1 + length
    return place < len(record) and record[place] == _FEATURE_LISTS


def _verify(content: bytes, masked: int) -> None:
    checksum = google_crc32c.value(content)
    if masked != ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF:
        raise ValueError("wrong checksum")
