"""Arrow columns as files hold them, told by type and converted to the few types of examples.

A text can say anything (CSV files hold nothing else), so texts are parsed: as numbers, as true and false, as dates
and times, which become seconds since 1970 in UTC. NaN counts as missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schema.features import ColumnType
from schema.rows import Label

ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "float": pa.float32(),
    "strings": pa.list_(pa.string()),
    "integers": pa.list_(pa.int64()),
    "floats": pa.list_(pa.float32()),
}
"""What each column type is as an Arrow array; a missing value is null."""

_ELEMENT: dict[ColumnType, ColumnType] = {"strings": "string", "integers": "integer", "floats": "float"}
_PLURAL: dict[ColumnType, ColumnType] = {element: plural for plural, element in _ELEMENT.items()}
_NAMES: dict[ColumnType, str] = {"string": "a text", "integer": "a whole number", "float": "a number"}

Parser = Callable[[pa.Array], pa.Array]
_REFUSED = (pa.ArrowInvalid, pa.ArrowNotImplementedError)


class BadValueError(ValueError):
    """A value that cannot be what its column is said to hold.

    Attributes:
        row: index of the value in the array, from 0; -1 where the whole column is at fault.
    """

    def __init__(self, row: int, expected: str, received: object, advice: str = "") -> None:
        shown = "none" if received is None else received if row < 0 else repr(received)
        super().__init__(f"expected {expected}, received {str(shown)[:80]}")
        self.row = row
        self._advice = advice

    def of(self, column: str) -> str:
        """The message for a column of that name."""
        return f"{column}: {self}" + (f"; {self._advice}" if self._advice else "").replace("COLUMN", column)


def column_type(array: pa.Array) -> ColumnType:
    """The type of a column that is no text file's: see `text_column_type` for those.

    Raises:
        BadValueError: a type of which no feature is made.
    """
    kind = array.type
    if pa.types.is_dictionary(kind):
        return column_type(array.dictionary)
    if _is_list(kind):
        element = column_type(array.flatten())
        if element in _PLURAL:
            return _PLURAL[element]
    elif pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_temporal(kind):
        return "integer"
    elif pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "float"
    elif _is_text(kind) or pa.types.is_null(kind):
        return "string"
    raise BadValueError(-1, "texts, numbers or lists of these", str(kind), "add the column to 'ignore'")


_LEADING_ZERO = "^[+-]?0[0-9]+$"
_DIGITS = "^[+-]?[0-9]+$"
_TOO_MANY_DIGITS = "^[+-]?[0-9]{19,}$"


def text_column_type(array: pa.Array) -> ColumnType:
    """The type that the texts of a column speak for, as far as they go; string where there are none.

    Digits that a number would lose, as of the zip code 02139 or of an id of 20 digits, make a column one of strings.
    """
    texts = array.drop_null()
    if not len(texts) or _any(texts, _LEADING_ZERO) or _any(texts, _TOO_MANY_DIGITS):
        return "string"
    if pc.all(pc.match_substring_regex(texts, _DIGITS)).as_py() or _parses(_booleans, texts):
        return "integer"
    if _parses(_floats, texts):
        return "float"
    return "integer" if _parses(_seconds, texts) else "string"


def _any(texts: pa.Array, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(texts, pattern)).as_py())


def convert(array: pa.Array, wanted: ColumnType, separator: str | None = None) -> pa.Array:
    """A column in the Arrow type of `wanted`.

    Args:
        array: as read from a file; of any type.
        wanted: what the column is to hold.
        separator: splits texts into lists.

    Raises:
        BadValueError: the first value that cannot be converted.
    """
    array = _plain(array)
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), ARROW_TYPES[wanted])
    if wanted in _ELEMENT:
        return _lists(array, _ELEMENT[wanted], separator)
    if _is_list(array.type):
        array = _single_values(array)
    if wanted == "string":
        return _texts(array)
    if wanted == "integer":
        return _integers(array)
    return _float32(array)


def labels(array: pa.Array, label: Label, required: bool = True) -> pa.Array:
    """The label column as float32: 0 and 1, by the spec's rule; or the place of its class; or a number.

    Args:
        array: as read from a file.
        label: what is predicted of it.
        required: whether every row has to have one.

    Raises:
        BadValueError: the first value that is missing, or of which the rule cannot be told.
    """
    array = _plain(array)
    if _is_list(array.type):
        array = _single_values(array)
    if required:
        _refuse_where(pc.is_null(array), array, "a label in every row")
    if label.kind == "number":
        return _float32(array)
    if label.classes is not None:
        return _class_places(array, label.classes)
    if label.rule:
        comparison, value = label.rule
        if isinstance(value, bool):
            array, value = _truths(array, value)
        shown = value if isinstance(value, str) else f"{value:g}"
        compared = _compared(array, [value], f"label.positive ({comparison} {shown})")
        return _COMPARISONS[comparison](compared, value).cast(pa.float32())
    if label.positive:
        compared = _compared(array, label.positive, "label.positive")
        found = pc.is_in(compared, pa.array(label.positive, compared.type)).cast(pa.float32())
        return pc.if_else(pc.is_valid(compared), found, pa.scalar(None, pa.float32()))
    advice = f"say which values are positive, such as label: {{column: {label.column}, positive: …}}"
    try:
        numbers = _numbers(array)
    except BadValueError as error:
        raise BadValueError(error.row, "0 or 1 as the label", array[error.row].as_py(), advice) from None
    neither = pc.and_(pc.is_valid(numbers), pc.invert(pc.is_in(numbers, pa.array([0.0, 1.0]))))
    _refuse_where(neither, array, "0 or 1 as the label", advice)
    return numbers.cast(pa.float32())


def _class_places(array: pa.Array, classes: int | Sequence[str] | Sequence[float]) -> pa.Array:
    values: Sequence[str] | Sequence[float]
    if isinstance(classes, int):
        values, expected = range(classes), f"a whole number from 0 to {classes - 1:,} (label.classes)"
    else:
        values, expected = classes, "one of label.classes"
    compared = _compared(array, values, "label.classes")
    places = pc.index_in(compared, pa.array(values, compared.type))
    _refuse_where(pc.and_(pc.is_valid(compared), pc.is_null(places)), array, expected)
    return places.cast(pa.float32())


def weights(array: pa.Array) -> pa.Array:
    """A column of example weights as float32.

    Raises:
        BadValueError: the first value that is missing or negative.
    """
    array = _plain(array)
    numbers = _float32(array)
    _refuse_where(pc.fill_null(pc.less(numbers, 0), True), array, "a weight of at least 0 in every row")
    return numbers


def _truths(array: pa.Array, value: bool) -> tuple[pa.Array, str | float]:
    """A column and a truth as what it is compared with there: texts, which may be in capitals, or 0 and 1."""
    if _is_text(array.type):
        return pc.utf8_lower(pc.utf8_trim_whitespace(array)), str(value).lower()
    return array, float(value)


_COMPARISONS: dict[str, Callable[[pa.Array, str | float], pa.Array]] = {
    ">=": pc.greater_equal,
    ">": pc.greater,
    "<=": pc.less_equal,
    "<": pc.less,
    "==": pc.equal,
    "!=": pc.not_equal,
}


def _compared(array: pa.Array, values: Sequence[str | float], rule: str) -> pa.Array:
    """The column as what a rule compares it with: texts or float64."""
    if isinstance(values[0], str):
        if not _is_text(array.type):
            received = column_type(array)
            raise BadValueError(-1, f"texts, since {rule} compares with a text", received)
        return _texts(array)
    try:
        return _numbers(array)
    except BadValueError as error:
        received = array[error.row].as_py()
        advice = "quote the value in the rule to compare texts" if _is_text(array.type) else ""
        raise BadValueError(error.row, f"a number, since {rule} compares with one", received, advice) from None


def _plain(array: pa.Array) -> pa.Array:
    """Without a dictionary, binary strings as texts, NaN as null."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if _is_binary(array.type):
        array = _cast_all(array, [lambda part: part.cast(pa.string())], "UTF-8 text")
    return _nan_as_null(array) if pa.types.is_floating(array.type) else array


def _is_text(kind: pa.DataType) -> bool:
    return _is_binary(kind) or any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string))


def _is_binary(kind: pa.DataType) -> bool:
    return any(test(kind) for test in (pa.types.is_binary, pa.types.is_large_binary))


def _is_list(kind: pa.DataType) -> bool:
    return any(test(kind) for test in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list))


def _texts(array: pa.Array) -> pa.Array:
    return array.cast(pa.string())


def _integers(array: pa.Array) -> pa.Array:
    if _is_text(array.type):
        array = pc.utf8_trim_whitespace(array)
        zeros = pc.match_substring_regex(array, _LEADING_ZERO)
        advice = "a number would lose its zeros: say columns: {COLUMN: string}"
        _refuse_where(zeros, array, "a whole number", advice)
        advice = "for decimals say columns: {COLUMN: float}, for texts columns: {COLUMN: string}"
        return _cast_all(array, [_int64, _whole_floats, _booleans, _seconds], "a whole number", advice)
    if pa.types.is_temporal(array.type):
        return _cast_all(array, [_seconds], "a time")
    return _cast_all(array, [_int64], "a whole number")


def _numbers(array: pa.Array) -> pa.Array:
    """Float64, in which all numbers can be compared. Integers beyond 2^53 are rounded, as floats are."""
    parsers, advice = [_floats, _seconds], ""
    if _is_text(array.type):
        array = pc.utf8_trim_whitespace(array)
        parsers, advice = [_floats, _booleans, _seconds], "for texts say columns: {COLUMN: string}"
    numbers = _cast_all(array, parsers, "a number", advice)
    return _nan_as_null(numbers.cast(pa.float64(), safe=False))


def _float32(array: pa.Array) -> pa.Array:
    numbers = _numbers(array).cast(pa.float32())
    infinite = pc.fill_null(pc.is_inf(numbers), False)
    _refuse_where(infinite, array, "a number within the range of float32 (±3.4e38)")
    return numbers


def _lists(array: pa.Array, element: ColumnType, separator: str | None) -> pa.Array:
    if not _is_list(array.type):
        if separator is None or not _is_text(array.type):
            advice = "for texts with several tokens in them say 'separator'" if _is_text(array.type) else ""
            raise BadValueError(-1, f"lists of which each entry is {_NAMES[element]}", column_type(array), advice)
        array = pc.split_pattern(_texts(array), separator)
    rows = np.asarray(pc.list_parent_indices(array))
    try:
        values = convert(array.flatten(), element)
    except BadValueError as error:
        error.row = int(rows[error.row]) if error.row >= 0 else -1
        raise
    kept = pc.is_valid(values)
    if separator is not None:
        values = pc.utf8_trim_whitespace(values)
        kept = pc.fill_null(pc.not_equal(values, ""), False)
    counts = np.bincount(rows[np.asarray(kept)], minlength=len(array))
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
    return pa.ListArray.from_arrays(offsets, values.filter(kept), mask=array.is_null())


def _single_values(array: pa.Array) -> pa.Array:
    """Lists of one value as values, empty ones as null."""
    lengths = pc.fill_null(pc.list_value_length(array), 0)
    several = pc.greater(lengths, 1)
    _refuse_where(several, array, "one value", f"for several say columns: {{COLUMN: {column_type(array)}}}")
    places = np.where(np.asarray(lengths) == 1, np.cumsum(np.asarray(lengths)) - 1, -1)
    return array.flatten().take(pa.array(places, mask=places < 0))


def _nan_as_null(array: pa.Array) -> pa.Array:
    return pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)


def _refuse_where(wrong: pa.Array, array: pa.Array, expected: str, advice: str = "") -> None:
    row = pc.index(wrong, True).as_py()
    if row >= 0:
        raise BadValueError(row, expected, array[row].as_py(), advice)


def _cast_all(array: pa.Array, parsers: Sequence[Parser], expected: str, advice: str = "") -> pa.Array:
    """What the first parser gives that takes the whole column."""
    for parse in parsers:
        try:
            return parse(array)
        except _REFUSED:
            continue
    # The parser that gets furthest is the one that was meant.
    row = max(_first_failure(parse, array) for parse in parsers)
    raise BadValueError(row, expected, array[row].as_py(), advice)


def _parses(parse: Parser, array: pa.Array) -> bool:
    try:
        parse(array)
    except _REFUSED:
        return False
    return True


def _first_failure(parse: Parser, array: pa.Array) -> int:
    """Index of the first value that `parse`, which fails on the array, does not take; by bisection."""
    good, bad = 0, len(array)
    while bad - good > 1:
        middle = (good + bad) // 2
        if _parses(parse, array[good:middle]):
            good = middle
        else:
            bad = middle
    return good


def _int64(array: pa.Array) -> pa.Array:
    return array.cast(pa.int64())


def _floats(array: pa.Array) -> pa.Array:
    return array.cast(pa.float64(), safe=False)


def _whole_floats(array: pa.Array) -> pa.Array:
    """Integers written as `3.0`, as pandas does beside missing values."""
    numbers = array.cast(pa.float64())
    if pc.any(pc.greater(pc.abs(numbers), 2.0**53)).as_py():
        raise pa.ArrowInvalid("floats beyond 2^53 have lost digits")
    return numbers.cast(pa.int64())


def _booleans(array: pa.Array) -> pa.Array:
    return array.cast(pa.bool_()).cast(pa.int64())


def _seconds(array: pa.Array) -> pa.Array:
    """Seconds since 1970 in UTC of dates and times, seconds since midnight of times of day."""
    kind = array.type
    if _is_text(kind):
        try:
            array = array.cast(pa.timestamp("us"))
        except pa.ArrowInvalid:
            array = array.cast(pa.timestamp("us", "UTC"))
    elif pa.types.is_date(kind):
        array = array.cast(pa.timestamp("us"))
    if pa.types.is_timestamp(array.type):
        return (
            pc.floor_temporal(array.cast(pa.timestamp(array.type.unit)), unit="second")
            .cast(pa.timestamp("s"))
            .cast(pa.int64())
        )
    if pa.types.is_time(kind):
        return array.cast(pa.time32("s"), safe=False).cast(pa.int32()).cast(pa.int64())
    return array.cast(pa.duration("s"), safe=False).cast(pa.int64())
