"""Opens a CSV file as bytes. Gzip is recognised by the contents, not by the file's name."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import BinaryIO

from schema.errors import DataError

_GZIP = b"\x1f\x8b"
_OTHER_FORMATS = {
    b"PAR1": "a Parquet file; say source: {format: parquet}",
    b"PK\x03\x04": "a zip archive or a spreadsheet; unpack it, or save it as CSV",
    b"BZh": "a file packed with bzip2; unpack it, or pack it with gzip",
    b"\x28\xb5\x2f\xfd": "a file packed with zstd; unpack it, or pack it with gzip",
    b"\xfd7zXZ\0": "a file packed with xz; unpack it, or pack it with gzip",
    b"\xff\xfe": "text in UTF-16; save the file as UTF-8",
    b"\xfe\xff": "text in UTF-16; save the file as UTF-8",
}
"""The first bytes of files in other formats, and what to do about each."""


def open_bytes(path: Path) -> BinaryIO:
    """Opens a file for reading and unzips it if it is gzipped.

    Raises:
        DataError: the file has another format; or, while it is read, its gzip data is damaged.
    """
    with path.open("rb") as file:
        gzipped = file.read(len(_GZIP)) == _GZIP
    stream = io.BufferedReader(_Unzipped(path)) if gzipped else path.open("rb")
    start = stream.peek(8)
    for beginning, received in _OTHER_FORMATS.items():
        if start.startswith(beginning):
            stream.close()
            raise DataError(f"{path}: expected text in UTF-8, received {received}")
    return stream


class _Unzipped(io.RawIOBase):
    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = gzip.GzipFile(path)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            return self._file.readinto(buffer)
        except EOFError:
            raise DataError(
                f"{self._path}: expected a gzipped file, received one that is cut off; get the whole file"
            ) from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"{self._path}: expected a gzipped file, received a damaged one: {error}") from None

    def close(self) -> None:
        self._file.close()
        super().close()
