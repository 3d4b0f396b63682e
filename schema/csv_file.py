"""Reads a CSV file in batches of texts. Errors have the line numbers that an editor shows."""

from __future__ import annotations

import codecs
import collections
import contextlib
import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from schema.csv_bytes import open_bytes
from schema.csv_rows import UnsoundError, WholeRows
from schema.errors import DataError
from schema.rows import Source
from schema.sampling import sample_size

_BLOCK_BYTES = 4 << 20
csv.field_size_limit(_BLOCK_BYTES)  # Arrow's limit; Python's default is 128 KiB
_SAMPLE_ROWS = 1_000
_DELIMITERS = ",;\t|"
_BYTE_ORDER_MARK = "\ufeff"
_END_OF_FILE = "\x1a"
"""Ctrl-Z, with which DOS ends a text file."""


class CsvFile:
    """A CSV file as in RFC 4180, in UTF-8, plain or gzipped. `source` may turn quotes off or add an escape character.

    Spaces around a field are not part of it.

    Args:
        path: the file.
        source: how the file is written: delimiter, quoting, escape, header.

    Raises:
        DataError: the file has another format, or its header repeats a name or has a single one.
    """

    has_types: ClassVar[bool] = False
    every_row_alike: ClassVar[bool] = True
    first_row: int = 0

    def __init__(self, path: Path, source: Source) -> None:
        self._path = path
        self._delimiter = source.delimiter or ("\t" if ".tsv" in path.suffixes else ",")
        self._quoted = source.quoting == "minimal"
        self._escape = source.escape
        self._header = source.header
        self.names: Sequence[str] = ()
        first = next(self._records(strict=True), None)
        if first is None:
            return
        line, fields = first
        names = fields if source.header else source.column_names
        self.names = [name.strip() for name in names]
        if len(self.names) == 1:
            raise DataError(
                f"{path}: line {line}: expected several columns, received one: {self.names[0]!r}"
                f"{self._another_delimiter(self.names[0])}"
            )
        for name in self.names:
            if not _is_utf8(name):
                raise DataError(f"{path}: line {line}: {self._foreign_byte()}")
            if name and self.names.count(name) > 1:
                raise DataError(f"{path}: line {line}: expected each column once, received {name!r} twice")

    def sample(self, names: Sequence[str], share: float) -> pa.RecordBatch | None:
        """Rows from the beginning of the file; None if there are none.

        Raises:
            DataError: a row has another number of fields than the header or is not UTF-8, or rows would be lost or
                invented because of quotes or a repeated header.
        """
        return next(self._read(names, sample_size(_BLOCK_BYTES, share)), None)

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The named columns, as texts without spaces around them.

        Raises:
            DataError: a row has another number of fields than the header or is not UTF-8, or rows would be lost or
                invented because of quotes or a repeated header.
        """
        yield from self._read(names, _BLOCK_BYTES)

    def _read(self, names: Sequence[str], block_bytes: int) -> Iterator[pa.RecordBatch]:
        if not self.names:
            return
        # Arrow gets the names as an option, so it reads the header as a row, which is cut off below.
        read = pa_csv.ReadOptions(use_threads=False, block_size=4 * _BLOCK_BYTES, column_names=list(self.names))
        parse = pa_csv.ParseOptions(
            delimiter=self._delimiter,
            quote_char='"' if self._quoted else False,
            escape_char=self._escape or False,
            newlines_in_values=True,
        )
        taken = list(names) or [self.names[0]]
        convert = pa_csv.ConvertOptions(
            column_types=dict.fromkeys(taken, pa.string()), include_columns=taken, strings_can_be_null=False
        )
        header = int(self._header)
        rows_before = 0
        try:
            for block in self._blocks(block_bytes):
                if not block.strip(b"\r\n"):
                    continue
                for batch in pa_csv.read_csv(pa.BufferReader(block), read, parse, convert).to_batches():
                    rows = batch[header:]
                    header = 0
                    if len(rows):
                        cleaned = [self._cleaned(rows[name], name) for name in names]
                        self._refuse_second_header(dict(zip(names, cleaned, strict=True)), rows_before)
                        rows_before += len(rows)
                        yield pa.RecordBatch.from_arrays(cleaned, list(names))
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{self._path}: {self._mistake() or error}") from None

    def place(self, row: int) -> str:
        """The line at which an editor shows a row, such as `line 12`. Indices start at 0 after the header."""
        index = row + int(self._header)
        line, _ = next(islice(self._records(), index, None))
        return f"line {line}"

    def _cleaned(self, texts: pa.Array, name: str) -> pa.Array:
        texts = pc.utf8_trim_whitespace(texts)
        if name == self.names[0]:  # concatenated files have byte order marks inside, too
            texts = pc.utf8_ltrim(texts, _BYTE_ORDER_MARK)
        return texts

    def _refuse_second_header(self, columns: Mapping[str, pa.Array], rows_before: int) -> None:
        """Raises if a row repeats the header. A single column's name may be a value, so it is not checked."""
        if not self._header or len(columns) < 2:
            return
        is_header: pa.Array = True
        for name, texts in columns.items():
            is_header = pc.and_(is_header, pc.equal(texts, name))
            if not pc.any(is_header).as_py():
                return
        raise DataError(
            f"{self._path}: {self.place(rows_before + pc.index(is_header, True).as_py())}: expected a row, received "
            "the header again; remove it where files were put together"
        )

    def _blocks(self, block_bytes: int = _BLOCK_BYTES) -> Iterator[bytes]:
        """The file's bytes in blocks of whole rows. Raises at the first unsound row."""
        rows = WholeRows(self._delimiter, self._quoted, self._escape, _BLOCK_BYTES, self._sample)
        try:
            with open_bytes(self._path) as file:
                block = file.read(block_bytes).removeprefix(codecs.BOM_UTF8)
                while block:
                    yield rows.add(block)
                    block = file.read(block_bytes)
            yield rows.end()
        except UnsoundError as error:
            self._refuse(error.offset, str(error))

    def _refuse(self, offset: int, message: str) -> NoReturn:
        """Raises an error with the line and column of a byte offset of the file."""
        with self._text() as text:
            reader = csv.reader(_beginning(text, offset), **self._dialect)
            *_, fields = reader
            column = len(fields) - 1
        name = self.names[column] if column < len(self.names) else f"field {column + 1}"
        raise DataError(f"{self._path}: line {reader.line_num}: {name}: {message}")

    @property
    def _dialect(self) -> dict[str, Any]:
        quoting = csv.QUOTE_MINIMAL if self._quoted else csv.QUOTE_NONE
        return {"delimiter": self._delimiter, "quoting": quoting, "escapechar": self._escape}

    def _text(self) -> io.TextIOWrapper:
        return io.TextIOWrapper(open_bytes(self._path), "utf-8-sig", errors="surrogateescape", newline="")

    def _records(self, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
        """Every row with the number of its first line. Blank lines are skipped, as Arrow does."""
        line = 1
        try:
            with self._text() as text:
                reader = csv.reader(text, strict=strict, **self._dialect)
                for fields in reader:
                    if fields:
                        yield line, fields
                    line = reader.line_num + 1
        except (csv.Error, OSError) as error:
            if strict:
                collections.deque(self._blocks(), maxlen=0)
            raise DataError(f"{self._path}: line {line}: expected CSV, received something else: {error}") from None

    def _sample(self) -> Iterator[list[str]]:
        """The first rows, up to the first mistake."""
        with contextlib.suppress(DataError):
            for _, fields in islice(self._records(), _SAMPLE_ROWS):
                if len(fields) == len(self.names):
                    yield fields

    def _mistake(self) -> str | None:
        """The first mistake in a file that Arrow refuses, found by a second, slower reading."""
        for line, fields in self._records():
            if len(fields) != len(self.names):
                return (
                    f"line {line}: expected {len(self.names)} fields, received {len(fields)}{self._why_so_many(fields)}"
                )
            for name, field in zip(self.names, fields, strict=True):
                if not _is_utf8(field):
                    return f"line {line}: {name}: {self._foreign_byte()}"
        return None

    def _why_so_many(self, fields: Sequence[str]) -> str:
        """Advice for a row with too few or too many fields, if its fields suggest a cause."""
        if fields == [_END_OF_FILE]:
            return "; it is DOS' mark of a file's end, Ctrl-Z: remove it"
        if len(fields) == len(self.names) + 1 and not fields[-1]:
            return "; remove the delimiter at the line's end"
        if not self._escape and any(field.endswith("\\") for field in fields):
            return "; say source: {escape: '\\'} if backslashes stand before delimiters that are letters"
        return self._another_delimiter(fields[0]) if len(fields) == 1 else ""

    def _another_delimiter(self, line: str) -> str:
        """Advice for a line that has no delimiter but another character that often is one."""
        other = max(_DELIMITERS, key=line.count)
        return f"; say source: {{delimiter: {json.dumps(other)}}}" if other in line else ""

    def _foreign_byte(self) -> str:
        """The error message for the first byte that is not UTF-8."""
        offset = 0
        with open_bytes(self._path) as stream:
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


def _is_utf8(text: str) -> bool:
    """Whether a text has no surrogate escapes, which stand for bytes that are not UTF-8."""
    return not any("\udc80" <= letter <= "\udcff" for letter in text)


def _beginning(lines: Iterable[str], size: int) -> Iterator[str]:
    """The lines up to a byte offset, with a letter in place of the byte there."""
    for line in lines:
        encoded = line.encode("utf-8", "surrogateescape")
        if len(encoded) > size:
            yield encoded[:size].decode("utf-8", "surrogateescape") + "x"
            return
        size -= len(encoded)
        yield line
