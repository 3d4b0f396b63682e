"""Finds the ends of rows in a CSV file, and stray quotes, which would make one field of everything up to the next."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

_KINDS = bytes(
    ord("0") if chr(byte).isdigit() and byte < 128 else ord(" ") if byte == 32
    else ord("a") if byte > 127 or chr(byte).isalpha() else ord(".")
    for byte in range(256)
)  # fmt: skip
"""Byte -> the kind of its character: a digit, a space, a letter or a mark."""

_EMPTY = {-1}
"""The kind of an empty field."""

_LINE_END = re.compile(rb"[\r\n]")


class UnsoundError(Exception):
    """The file has bytes that Arrow would accept but that would lose rows.

    Args:
        offset: the offset of the first such byte in the file, not counting a byte order mark.
        message: what was expected and received.
    """

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset


class WholeRows:
    """Cuts a file's bytes at the ends of rows, as RFC 4180 defines them.

    An accumulator: `add` the file's bytes block by block, then `end`. Blocks without quotes cost next to nothing.

    Args:
        delimiter: the character between fields.
        quoted: whether fields may be quoted.
        escape: the escape character, if there is one.
        longest: the largest size of a row, in bytes.
        sample: returns the file's first rows, which help to tell rows from running text.
    """

    def __init__(
        self,
        delimiter: str,
        quoted: bool,
        escape: str | None,
        longest: int,
        sample: Callable[[], Iterable[Sequence[str]]],
    ) -> None:
        self._delimiter = delimiter.encode()
        self._escape = (escape or "").encode()
        self._marks = self._escape + b'"' * quoted
        self._longest = longest
        self._sample = sample
        mark, sign = re.escape(self._delimiter), re.escape(self._escape)
        # Quotes behind an escaped delimiter or line end do not begin a field.
        self._pair = re.compile(rb'%s."*+' % sign if escape else rb"(?!)", re.DOTALL)
        self._field = re.compile(rb'"(?:[^"%s]++|""%s)*+"' % (sign, rb"|%s." % sign if escape else b""), re.DOTALL)
        # Matches everything that is certainly sound in one step: text without marks, quoted fields on one line, and
        # quotes that are letters because they do not begin a field.
        pair_in_line = rb"|%s[^\r\n]" % sign if escape else b""
        sound = rb"[^%s]++" % (re.escape(self._marks) or rb"\0")  # no NUL gets here
        if escape:
            sound += rb'%s"*+(?=[\s\S])' % pair_in_line
        if quoted:
            sound += rb'|(?<=[%s\r\n])"(?:[^"\r\n%s]++|""%s)*+"(?=[%s\r\n])' % (mark, sign, pair_in_line, mark)
            sound += rb'|(?<=[^%s\r\n ])"' % mark
        self._sound = re.compile(rb"(?:%s)*+" % sound)
        self._idle_escape = re.compile(rb"(?<!%s)(?:%s%s)*+%s(?=[A-Za-z0-9])" % (sign, sign, sign, sign))
        self._text = b"\n"  # the rows not yet returned, and the line end before them
        self._offset = -1  # the offset of _text in the file
        self._done = 1  # _text is sound up to here
        self._row_end = 0  # the last whole row of _text ends here
        self._in_row = 1  # line ends before this are inside a row

    def add(self, block: bytes) -> bytes:
        """Adds the next bytes of the file.

        Returns:
            The rows that these bytes complete.

        Raises:
            UnsoundError: there is text after a closing quote, an unclosed quote, a field whose lines are rows, or a
                NUL byte.
        """
        nul = block.find(b"\0")
        if nul >= 0:
            raise UnsoundError(
                self._offset + len(self._text) + nul,
                "expected text, received a NUL byte; save the file as UTF-8 if it is in UTF-16, else replace the file",
            )
        plain = self._done == len(self._text) and not any(mark in block for mark in self._marks)
        self._text += block
        if plain:
            self._done = len(self._text)
        else:
            self._follow()
        self._find_row_end(self._done)
        rows = self._text[1 : self._row_end + 1]
        if not rows and len(self._text) > self._longest:
            self._refuse_endless(f"{self._longest >> 20} MB")
        self._text = self._text[self._row_end :]
        self._offset += self._row_end
        self._done -= self._row_end
        self._in_row = max(self._in_row - self._row_end, 1)
        self._row_end = 0
        return self._without_idle_escapes(rows)

    def end(self) -> bytes:
        """The remaining rows at the file's end.

        Raises:
            UnsoundError: as for `add`.
        """
        self._text += b"\n"
        self._follow()
        if self._done < len(self._text):
            self._refuse_endless("the rest of the file")
        return self._without_idle_escapes(self._text[1:])

    def _without_idle_escapes(self, rows: bytes) -> bytes:
        """Doubles escapes before letters and digits, as in MySQL's `\\N`: they are letters, which Arrow would drop."""
        return self._idle_escape.sub(lambda found: found[0] + self._escape, rows) if self._escape else rows

    def _find_row_end(self, before: int) -> None:
        found = max(self._text.rfind(end, self._in_row, before) for end in (b"\n", b"\r"))
        self._row_end = max(found, self._row_end)

    def _follow(self) -> None:
        text = self._text
        while True:
            sound = self._sound.match(text, self._done)
            assert sound is not None, "it matches the empty text"
            start = self._done = sound.end()
            mark = text[start : start + 1]
            if not mark:
                return
            if mark == self._escape:
                pair = self._pair.match(text, start)
                if not pair or pair.end() == len(text):
                    return
                end = pair.end()
                self._find_row_end(start)
            elif not self._opens(start):
                self._done += 1
                continue
            else:
                field = self._field.match(text, start)
                line_end = field and _LINE_END.search(text, field.end())
                if not field or not line_end:
                    return
                end = field.end()
                if text[end] not in self._delimiter + b"\r\n":
                    self._refuse_text_after(start, end, line_end.start())
                self._find_row_end(start)
                self._refuse_rows(start, line_end.start())
            self._done = self._in_row = end

    def _opens(self, quote: int) -> bool:
        """Whether a quote begins a field. Raises if only spaces come before it in the field."""
        before = quote - 1
        ends = self._delimiter + b"\r\n"
        if self._text[before] in ends:
            return True
        while self._text[before] == ord(" "):
            before -= 1
        if self._text[before] in ends:
            raise UnsoundError(
                self._offset + quote,
                "expected a quote that begins its field, received a space before it; remove the space, or say "
                "source: {quoting: none} if quotes are letters in this file",
            )
        return False

    def _refuse_text_after(self, start: int, end: int, line_end: int) -> None:
        after = self._text[end : min(line_end, end + 20)].decode("utf-8", "replace")
        breaks = len(self._text[start:end].splitlines()) - 1
        place = f" {_lines(breaks)} on" if breaks else ""
        raise UnsoundError(
            self._offset + start,
            f"expected nothing between a closing quote and the next delimiter, received {after!r} after the quote "
            f"that closes this field{place}; {self._advice(start, end)}",
        )

    def _refuse_rows(self, start: int, end: int) -> None:
        lines = self._text[max(self._row_end + 1, self._in_row) : end].splitlines()
        alike = self._rows.among(lines)
        if 2 * alike > len(lines):
            raise UnsoundError(
                self._offset + start,
                f"expected a field, received {_lines(len(lines))} between this quote and the next, of which {alike:,} "
                f"look like rows; {self._advice(start, end)}",
            )

    def _refuse_endless(self, extent: str) -> None:
        if self._text[self._done : self._done + 1] == b'"':
            message = (
                f"expected a closing quote, received none in {extent}; {self._advice(self._done, len(self._text))}"
            )
            raise UnsoundError(self._offset + self._done, message)
        raise UnsoundError(self._offset + 1, f"expected the line's end, received none in {extent}")

    def _advice(self, start: int, end: int) -> str:
        if not self._escape and b'\\"' in self._text[start:end]:
            return "say source: {escape: '\\'} if backslashes stand before quotes that are letters"
        return "double quotes inside quoted fields, or say source: {quoting: none} if quotes are letters in this file"

    @cached_property
    def _rows(self) -> _Rows:
        return _Rows(self._delimiter, self._sample())


class _Rows:
    """Tells rows from running text by the kinds of characters in their fields.

    Args:
        delimiter: the character between fields.
        sample: rows of the file.
    """

    def __init__(self, delimiter: bytes, sample: Iterable[Sequence[str]]) -> None:
        self._delimiter = delimiter
        self._kinds: list[set[int]] = []
        for fields in sample:
            self._kinds = self._kinds or [set() for _ in fields]
            if len(fields) == len(self._kinds):
                for kinds, field in zip(self._kinds, fields, strict=True):
                    kinds.update(_kinds(field.encode("utf-8", "surrogateescape")))

    def among(self, lines: Sequence[bytes]) -> int:
        """How many lines look like rows of the sample. Fields with quotes always match."""
        delimiters = len(self._kinds) - 1
        return sum(self._is_row(line) for line in lines if line.count(self._delimiter) == delimiters)

    def _is_row(self, line: bytes) -> bool:
        fields = line.split(self._delimiter)
        return len(fields) > 1 and all(
            b'"' in field or _kinds(field) <= kinds or kinds == _EMPTY
            for field, kinds in zip(fields, self._kinds, strict=True)
        )


def _kinds(field: bytes) -> set[int]:
    return set(field.translate(_KINDS)) or _EMPTY


def _lines(count: int) -> str:
    return f"{count:,} line{'s' * (count != 1)}"
