"""One CSV file as batches of texts, with an editor's line numbers for what is wrong in it."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO, ClassVar, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from schema.errors import DataError
from schema.rows import Source
from schema.sampling import sample_size

_BLOCK_BYTES = 4 << 20
csv.field_size_limit(_BLOCK_BYTES)  # as Arrow's; the module's own is 128 KiB
_OPEN_QUOTE = "expected a closing quote, received none"


class CsvFile:
    """A CSV file as RFC 4180 describes it, in UTF-8, plain or gzipped.

    Spaces around a field are no part of it.

    Args:
        path: the file.
        source: says how it is written.

    Raises:
        DataError: an empty file, or a header with a name twice.
    """

    has_types: ClassVar[bool] = False
    every_row_alike: ClassVar[bool] = True
    first_row: int = 0

    def __init__(self, path: Path, source: Source) -> None:
        self._path = path
        self._delimiter = source.delimiter or ("\t" if ".tsv" in path.suffixes else ",")
        self._header = source.header
        self.names: Sequence[str] = source.column_names
        first = next(self._records(), None)
        if first is None:
            return
        line, fields = first
        names = fields if source.header else source.column_names
        self.names = [name.strip() for name in names]
        for name in self.names:
            if not _is_utf8(name):
                raise DataError(f"{path}: line {line}: {self._foreign_byte()}")
            if name and self.names.count(name) > 1:
                raise DataError(f"{path}: line {line}: expected each column once, received {name!r} twice")

    def sample(self, names: Sequence[str], share: float) -> pa.RecordBatch | None:
        """Rows from the beginning of the file.

        Raises:
            DataError: a row with another number of fields than the header, or not in UTF-8.
        """
        try:
            return next(self._read(names, sample_size(_BLOCK_BYTES, share)), None)
        except DataError:  # perhaps of a row that is longer than the sample
            return next(self._read(names, _BLOCK_BYTES), None)

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The columns of that name, as texts without spaces around them.

        Raises:
            DataError: a row with another number of fields than the header, or not in UTF-8.
        """
        yield from self._read(names, _BLOCK_BYTES)

    def _read(self, names: Sequence[str], block_bytes: int) -> Iterator[pa.RecordBatch]:
        if not self.names:
            return
        # Arrow is told the names, so that the header is one more row, to be cut off.
        read = pa_csv.ReadOptions(use_threads=False, block_size=block_bytes, column_names=list(self.names))
        parse = pa_csv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True)
        taken = list(dict.fromkeys([*names, self.names[-1]]))
        convert = pa_csv.ConvertOptions(
            column_types=dict.fromkeys(taken, pa.string()), include_columns=taken, strings_can_be_null=False
        )
        header = int(self._header)
        last = ""
        try:
            with pa.input_stream(str(self._path), compression="detect") as stream:
                for batch in pa_csv.open_csv(stream, read, parse, convert):
                    rows = batch[header:]
                    header = 0
                    if len(rows):
                        last = rows[self.names[-1]][-1].as_py()
                        yield pa.RecordBatch.from_arrays(
                            [pc.utf8_trim_whitespace(rows[name]) for name in names], list(names)
                        )
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{self._path}: {self._mistake() or error}") from None
        if "\n" in last:
            self._refuse_open_quote()

    def place(self, row: int) -> str:
        """Where an editor shows the row of that index, the header left out."""
        index = row + int(self._header)
        line, _ = next(islice(self._records(), index, None))
        return f"line {line}"

    def _open(self) -> BinaryIO:
        return cast(BinaryIO, gzip.open(self._path)) if self._path.suffix == ".gz" else self._path.open("rb")

    def _records(self, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
        """Every row with the number of its first line, without blank lines, which Arrow leaves out too."""
        line = 1
        try:
            with io.TextIOWrapper(self._open(), "utf-8-sig", errors="surrogateescape", newline="") as text:
                reader = csv.reader(text, delimiter=self._delimiter, strict=strict)
                for fields in reader:
                    if fields:
                        yield line, fields
                    line = reader.line_num + 1
        except (csv.Error, OSError, EOFError, zlib.error) as error:
            mistake = f"expected CSV, received something else: {error}"
            if "unexpected end of data" in str(error):
                mistake = _OPEN_QUOTE
            raise DataError(f"{self._path}: line {line}: {mistake}") from None

    def _mistake(self) -> str | None:
        """The first mistake of a file that Arrow refuses, found by reading it again, slowly."""
        for line, fields in self._records():
            if len(fields) != len(self.names):
                return f"line {line}: expected {len(self.names)} fields, received {len(fields)}"
            for name, field in zip(self.names, fields, strict=True):
                if not _is_utf8(field):
                    return f"line {line}: {name}: {self._foreign_byte()}"
        return None

    def _refuse_open_quote(self) -> None:
        """Raises where the last field is quoted and its quote never closed: it holds all rows that follow it."""
        try:
            for _ in self._records(strict=True):
                pass
        except DataError as error:
            # Other things that a strict reader minds are ones that Arrow takes.
            if _OPEN_QUOTE in str(error):
                raise

    def _foreign_byte(self) -> str:
        """What to say of the first byte that is not UTF-8."""
        offset = 0
        with self._open() as stream:
            for line in stream:
                try:
                    line.decode("utf-8")
                except UnicodeDecodeError as error:
                    return (
                        f"expected UTF-8 text, received byte 0x{line[error.start]:02x} at offset "
                        f"{offset + error.start} of the file; save the file as UTF-8"
                    )
                offset += len(line)
        raise AssertionError("called for a file that is all UTF-8")


def _trimmed(texts: pa.Array) -> pa.Array:
    return pc.utf8_trim_whitespace(texts)


def _is_utf8(text: str) -> bool:
    """Whether no byte of the text had to be escaped to read it."""
    return not any("\udc80" <= letter <= "\udcff" for letter in text)
