"""Reads and writes JSON as TF Serving's parser does, which is RapidJSON 1.1 in its iterative mode.

It differs from Python's parser: NaN, Inf and Infinity are numbers, an integer beyond 64 bits is a floating-point
number, a name may occur twice in an object, strings may hold any bytes, and a document may be nested to any depth and
be followed by anything. Python's faster parser reads nearly all documents. Documents that it refuses or would read
differently are read by `_Parser`, which also has the error messages of RapidJSON.
"""

import json
import math
import re
from collections.abc import Iterator
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any, TypeAlias, TypeVar

Json: TypeAlias = Any
"""None, bool, int (of 64 bits, signed or not), float, str (bytes that are not UTF-8 as surrogate escapes), list or
`Members`."""

Value = TypeVar("Value")

MISSING = object()
"""Stands for a missing value, which differs from null."""

_UINT64_DIGITS = 20
_MAX_EXPONENT = 308
_MAX_ABBREVIATED_BYTES = 256


class JsonError(ValueError):
    """A document is not JSON; the message is RapidJSON's."""


class Members(list[tuple[str, Json]]):
    """An object: its members in order, including repeated names."""

    def find(self, name: str) -> Json:
        """The value of the first member with a name, or `MISSING`."""
        return next((value for member, value in self if member == name), MISSING)


def parse(document: bytes) -> Json:
    """Reads the JSON value at the beginning of a document.

    Raises:
        JsonError: the document does not begin with a JSON value.
    """
    if not document:
        raise JsonError("The document is empty")  # TF Serving's message; RapidJSON's ends in a full stop
    # Only half a surrogate pair is accepted by Python and not by RapidJSON.
    if rb"\ud" not in document and rb"\uD" not in document:
        try:
            text = document.decode()
            match = _OBJECT_START.match(text)
            if match:
                return _DECODER.raw_decode(text, match.end() - 1)[0]
        except (ValueError, RecursionError):
            pass
    return _Parser(document).document()


def text_bytes(text: str) -> bytes:
    """The bytes of a string in a document."""
    return text.encode(errors="surrogateescape")


def bytes_text(content: bytes) -> str:
    """The string in a document for given bytes."""
    return content.decode(errors="surrogateescape")


def quoted(text: str) -> str:
    """A string as a JSON token."""
    return encode_basestring(text)


def type_name(value: Json) -> str:
    """The name of the value's type in error messages."""
    match value:
        case None:
            return "Null"
        case bool():
            return str(value)
        case int() | float():
            return "Number"
        case str():
            return "String"
        case Members():
            return "Object"
    return "Array"


def abbreviated(value: Json) -> str:
    """The value as error messages show it, cut off after the token that reaches 256 bytes."""
    writer = PrettyWriter(single_line_arrays=True)
    for complete in _written(value, writer):
        if not complete or writer.bytes_written() >= _MAX_ABBREVIATED_BYTES:
            break
    return writer.text()


class PrettyWriter:
    """Writes JSON token by token, indented by four spaces, with lists on one or several lines."""

    def __init__(self, single_line_arrays: bool = False) -> None:
        """Creates a writer of one value.

        Args:
            single_line_arrays: whether to write lists on a single line. The attribute may change during writing.
        """
        self.single_line_arrays = single_line_arrays
        self._tokens: list[str] = []
        self._counts: list[int] = []  # values (in objects: names and values) per open bracket, outermost first
        self._brackets: list[str] = []

    def value(self, token: str) -> None:
        """Writes a value of a single token, or a member's name."""
        self._begin()
        self._tokens.append(token)

    def string(self, content: str) -> None:
        """Writes a string, or a member's name."""
        self.value(quoted(content))

    def start(self, bracket: str) -> None:
        """Begins a list or an object."""
        self.value(bracket)
        self._brackets.append(bracket)
        self._counts.append(0)

    def end(self) -> None:
        """Ends the innermost open list or object."""
        bracket, count = self._brackets.pop(), self._counts.pop()
        if count and (bracket == "{" or not self.single_line_arrays):
            self._tokens.append(self._line())
        self._tokens.append("}" if bracket == "{" else "]")

    def array(self, tokens: list[str]) -> None:
        """Writes a list of values of one token each."""
        self.start("[")
        if tokens:
            separator = ", " if self.single_line_arrays else "," + self._line()
            self._begin()
            self._tokens.append(separator.join(tokens))
        self.end()

    def bytes_written(self) -> int:
        """The length of the text so far, in bytes."""
        return sum(len(text_bytes(token)) for token in self._tokens)

    def text(self) -> str:
        """The text so far."""
        return "".join(self._tokens)

    def _line(self) -> str:
        return "\n" + " " * (4 * len(self._brackets))

    def _begin(self) -> None:
        """Writes the separator before a value: a comma or colon, and a line break."""
        if not self._brackets:
            return
        count = self._counts[-1]
        self._counts[-1] += 1
        if self._brackets[-1] == "{" and count % 2:
            self._tokens.append(": ")
        elif self._brackets[-1] == "[" and self.single_line_arrays:
            self._tokens.append(", " if count else "")
        else:
            self._tokens.append(("," if count else "") + self._line())


def _written(value: Json, writer: PrettyWriter) -> Iterator[bool]:
    """Writes a value token by token. After each token, yields whether it could be written: NaN and infinity cannot."""
    if isinstance(value, list):
        writer.start("{" if isinstance(value, Members) else "[")
        yield True
        for item in value:
            if isinstance(value, Members):
                writer.string(item[0])
                yield True
                item = item[1]
            yield from _written(item, writer)
        writer.end()
    elif isinstance(value, str):
        writer.string(value)
    elif isinstance(value, float):
        writer.value(_shortest(value) if math.isfinite(value) else "")
    else:
        writer.value(json.dumps(value))
    yield not isinstance(value, float) or math.isfinite(value)


def _shortest(value: float) -> str:
    """The shortest digits for a number, with an exponent only from 10^21 on and below 10^-6."""
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    point = len(digits) + exponent
    text = "".join(map(str, digits))
    if not value:
        text = "0.0"
    elif exponent >= 0 and point <= 21:
        text += "0" * exponent + ".0"
    elif 0 < point <= 21:
        text = f"{text[:point]}.{text[point:]}"
    elif -6 < point <= 0:
        text = f"0.{'0' * -point}{text}"
    else:
        text = f"{text[0]}{'.' if len(text) > 1 else ''}{text[1:]}e{point - 1}"
    return "-" * sign + text


def _integer(digits: str) -> int | float:
    if len(digits) < _UINT64_DIGITS:
        return int(digits)
    if len(digits) <= _UINT64_DIGITS + 1 and -(2**63) <= (value := int(digits)) < 2**64:
        return value
    return _float(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError("too big, or close to it: _Parser decides")
    return value


_OBJECT_START = re.compile(r"[ \n\r\t]*\{")
_DECODER = json.JSONDecoder(object_pairs_hook=Members, parse_float=_float, parse_int=_integer)

_WHITESPACE = re.compile(rb"[ \n\r\t]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_HEX = re.compile(rb"[0-9a-fA-F]{4}")
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(\.[0-9]*)?([eE][+-]?[0-9]*)?")
_ESCAPES = {b'"': b'"', b"\\": b"\\", b"/": b"/", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}


class _Parser:
    """Reads a document exactly as RapidJSON does, but slowly."""

    def __init__(self, document: bytes) -> None:
        self._document = document
        self._at = 0
        for byte in b"\xef\xbb\xbf":  # a byte order mark, or a part of one
            if self._peek() == bytes([byte]):
                self._at += 1

    def document(self) -> Json:
        """Reads the value."""
        self._skip_whitespace()
        if self._peek() in (b"", b"\0", b"]", b"}", b",", b":"):
            raise self._error("The document is empty.")
        around: list[tuple[list[Any], str]] = []  # open lists and objects, each with its name in its container
        name = ""
        while True:
            value = self._begun()
            if isinstance(value, list) and not self._ended(value):
                around.append((value, name))
                name = self._name() if isinstance(value, Members) else ""
                continue
            while around:
                container = around[-1][0]
                container.append((name, value) if isinstance(container, Members) else value)
                if self._ended(container):
                    value, name = around.pop()
                elif self._peek() == b",":
                    self._at += 1
                    name = self._name() if isinstance(container, Members) else ""
                    break
                elif isinstance(container, Members):
                    raise self._error("Missing a comma or '}' after an object member.")
                else:
                    raise self._error("Missing a comma or ']' after an array element.")
            else:
                return value

    def _begun(self) -> Json:
        """Reads the value that begins here; only the bracket of a list or an object."""
        self._skip_whitespace()
        match self._peek():
            case b"{":
                self._at += 1
                return Members()
            case b"[":
                self._at += 1
                return []
            case b'"':
                return self._string()
            case b"n":
                return self._word(b"null", None)
            case b"t":
                return self._word(b"true", True)
            case b"f":
                return self._word(b"false", False)
        return self._number()

    def _ended(self, container: list[Any]) -> bool:
        self._skip_whitespace()
        if self._peek() != (b"}" if isinstance(container, Members) else b"]"):
            return False
        self._at += 1
        return True

    def _name(self) -> str:
        self._skip_whitespace()
        if self._peek() != b'"':
            raise self._error("Missing a name for object member.")
        name = self._string()
        self._skip_whitespace()
        if self._peek() != b":":
            raise self._error("Missing a colon after a name of object member.")
        self._at += 1
        return name

    def _string(self) -> str:
        parts = []
        self._at += 1
        while True:
            plain = _PLAIN.match(self._document, self._at)
            assert plain
            parts.append(plain[0])
            self._at = plain.end()
            match self._peek():
                case b'"':
                    self._at += 1
                    return bytes_text(b"".join(parts))
                case b"\\":
                    parts.append(self._escape())
                case b"" | b"\0":
                    raise self._error("Missing a closing quotation mark in string.")
                case _:
                    raise self._error("Invalid escape character in string.")

    def _escape(self) -> bytes:
        start = self._at
        self._at += 2
        character = self._document[start + 1 : self._at]
        if character in _ESCAPES:
            return _ESCAPES[character]
        if character != b"u":
            raise self._error("Invalid escape character in string.", start)
        code = self._hexadecimal(start)
        if 0xD800 <= code < 0xDC00:
            if self._document[self._at : self._at + 2] != rb"\u":
                raise self._error("The surrogate pair in string is invalid.", start)
            self._at += 2
            second = self._hexadecimal(start)
            if not 0xDC00 <= second < 0xE000:
                raise self._error("The surrogate pair in string is invalid.", start)
            code = 0x10000 + ((code - 0xD800) << 10 | (second - 0xDC00))
        return chr(code).encode(errors="surrogatepass")

    def _hexadecimal(self, start: int) -> int:
        match = _HEX.match(self._document, self._at)
        if not match:
            raise self._error("Incorrect hex digit after \\u escape in string.", start)
        self._at = match.end()
        return int(match[0], 16)

    def _number(self) -> int | float:
        start = self._at
        match = _NUMBER.match(self._document, start)
        if not match:
            return self._not_finite()
        fraction, exponent = match[1], match[2]
        if fraction == b".":
            raise self._error("Miss fraction part in number.", match.end(1))
        if exponent and not exponent[-1:].isdigit():
            raise self._error("Miss exponent in number.", match.end(2))
        self._at = match.end()
        digits = match[0].decode()
        if fraction is None and exponent is None:
            try:
                return _integer(digits)
            except ValueError:
                raise self._error("Number too big to be stored in double.", start) from None
        if exponent and float(exponent[1:]) > _MAX_EXPONENT + len(fraction or b".") - 1:
            raise self._error("Number too big to be stored in double.", start)
        return float(digits)

    def _not_finite(self) -> float:
        sign = 1.0
        if self._peek() == b"-":
            self._at += 1
            sign = -1.0
        if self._peek() == b"N":
            return self._word(b"NaN", math.nan)
        infinity = self._word(b"Inf", sign * math.inf)
        return self._word(b"inity", infinity) if self._peek() == b"i" else infinity

    def _word(self, word: bytes, value: Value) -> Value:
        for byte in word:
            if self._peek() != bytes([byte]):
                raise self._error("Invalid value.")
            self._at += 1
        return value

    def _skip_whitespace(self) -> None:
        match = _WHITESPACE.match(self._document, self._at)
        assert match
        self._at = match.end()

    def _peek(self) -> bytes:
        return self._document[self._at : self._at + 1]

    def _error(self, what: str, at: int | None = None) -> JsonError:
        return JsonError(f"{what} at offset: {self._at if at is None else at}")
