"""Converts Arrow columns from the types that files hold to the few types of examples.

A text can stand for anything (CSV files hold nothing else), so texts are parsed as numbers, booleans, or dates and
times, which become seconds since 1970 in UTC. The rules for missing values are the same for all file formats: no value,
NaN, and the texts that are marks of missing values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schema import times
from schema.errors import listing
from schema.features import ColumnType
from schema.rows import NULL_VALUES, Label

ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "float": pa.float32(),
    "strings": pa.list_(pa.string()),
    "integers": pa.list_(pa.int64()),
    "floats": pa.list_(pa.float32()),
}
"""The Arrow type of each column type; a missing value is null."""

_ELEMENT: dict[ColumnType, ColumnType] = {"strings": "string", "integers": "integer", "floats": "float"}
_PLURAL: dict[ColumnType, ColumnType] = {element: plural for plural, element in _ELEMENT.items()}
_NAMES: dict[ColumnType, str] = {"string": "a text", "integer": "a whole number", "float": "a number"}

Parser = Callable[[pa.Array], pa.Array]
_REFUSED = (pa.ArrowInvalid, pa.ArrowNotImplementedError)


class BadValueError(ValueError):
    """A value does not fit the type or the rule of its column.

    Attributes:
        row: the index of the value in the array, from 0; -1 if the whole column is at fault.
    """

    def __init__(self, row: int, expected: str, received: object, advice: str = "") -> None:
        shown = "none" if received is None else received if row < 0 else repr(received)
        super().__init__(f"expected {expected}, received {str(shown)[:80]}")
        self.row = row
        self._advice = advice

    def of(self, column: str) -> str:
        """The error message for the column of this name."""
        return f"{column}: {self}" + (f"; {self._advice}" if self._advice else "").replace("COLUMN", column)


def column_type(kind: pa.DataType) -> ColumnType:
    """The type in examples of a column of an Arrow type. Texts stay texts, whatever they contain.

    Raises:
        BadValueError: no feature can be made of this type.
    """
    if isinstance(kind, pa.BaseExtensionType):
        return "string" if _is_uuid(kind) else column_type(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return column_type(kind.value_type)
    if is_list(kind):
        element = column_type(kind.value_type)
        if element in _PLURAL:
            return _PLURAL[element]
    elif is_whole(kind) or pa.types.is_boolean(kind) or is_time(kind):
        return "integer"
    elif pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "float"
    elif is_text(kind) or pa.types.is_null(kind):
        return "string"
    raise BadValueError(-1, "texts, numbers or lists of these", str(kind), "add the column to 'ignore'")


def is_whole(kind: pa.DataType) -> bool:
    """Whether a type holds only whole numbers."""
    return bool(pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale <= 0))


def is_time(kind: pa.DataType) -> bool:
    """Whether a type holds dates, times or durations."""
    return bool(pa.types.is_temporal(kind) and not pa.types.is_interval(kind))


_LISTS = (
    pa.types.is_list,
    pa.types.is_large_list,
    pa.types.is_fixed_size_list,
    pa.types.is_list_view,
    pa.types.is_large_list_view,
)
_TEXTS = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_fixed_size_binary,
    pa.types.is_binary_view,
)


def is_list(kind: pa.DataType) -> bool:
    """Whether a type holds lists, of any layout."""
    return any(test(kind) for test in _LISTS)


def is_text(kind: pa.DataType) -> bool:
    """Whether a type holds texts, as strings or as bytes in UTF-8."""
    return any(test(kind) for test in _TEXTS)


def _is_uuid(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.UuidType)


def plain(array: pa.Array, marks: Sequence[str] = NULL_VALUES) -> pa.Array:
    """Removes storage details from a column, such as dictionaries and list layouts. Missing values become null.

    Args:
        array: a column of any type.
        marks: the texts that stand for a missing value.

    Returns:
        Texts as strings without spaces around them, half floats as float32, lists of any layout as lists of such
        values; other types unchanged.

    Raises:
        BadValueError: a value is not UTF-8 text; the error has the first one.
    """
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        if _is_uuid(kind):
            return pa.array([None if value is None else str(value) for value in array.to_pylist()], pa.string())
        return plain(array.storage, marks)
    if pa.types.is_dictionary(kind):
        return plain(array.dictionary_decode(), marks)
    if pa.types.is_run_end_encoded(kind):
        return plain(pc.run_end_decode(array), marks)
    if is_list(kind):
        return _with_values(array, lambda values: plain(values, marks))
    if pa.types.is_floating(kind):
        array = array.cast(pa.float32()) if pa.types.is_float16(kind) else array
        return pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
    if is_text(kind):
        advice = "add the column to 'ignore', or store it as text"
        array = _cast_all(array, [lambda part: part.cast(pa.string())], "UTF-8 text", advice)
        array = pc.utf8_trim_whitespace(array)
        return null_where(pc.is_in(array, pa.array(marks, pa.string())), array)
    return array


def null_where(wrong: pa.Array, texts: pa.Array) -> pa.Array:
    """Texts with null in place of the wrong ones."""
    # In Arrow 18, pc.if_else with a null returns NUL characters for slices of texts.
    return pc.replace_with_mask(texts, wrong, pa.scalar(None, texts.type))


_LEADING_ZERO = "^[+-]?0[0-9]+$"
DIGITS_LOST = "^[+-]?(0[0-9]+|[0-9]{19,})$"
"""Digits that a number would not keep, such as the zip code 02139 or an id of 20 digits."""


def convert(
    array: pa.Array,
    wanted: ColumnType,
    separator: str | None = None,
    *,
    marks: Sequence[str] = NULL_VALUES,
    holds_times: bool = False,
    keep_digits: bool = False,
) -> pa.Array:
    """Converts a column to the Arrow type of `wanted`.

    Args:
        array: a column of any type, as read from a file.
        wanted: the column type to convert to.
        separator: the separator at which texts are split into lists.
        marks: the texts that stand for a missing value.
        holds_times: whether texts are dates and times; else they are numbers.
        keep_digits: whether to refuse texts of which a float would lose digits.

    Raises:
        BadValueError: a value cannot be converted; the error has the first one.
    """
    array = _readable(array, marks)
    if keep_digits and wanted == "float" and is_text(array.type):
        advice = "if these are names, say columns: {COLUMN: string}; if quantities, features: {COLUMN: numeric}"
        _refuse_where(pc.match_substring_regex(array, DIGITS_LOST), array, "a number", advice)
    return _converted(array, wanted, separator, holds_times)


def _readable(array: pa.Array, marks: Sequence[str]) -> pa.Array:
    column_type(array.type)  # raises for types other than texts, numbers and lists of these
    return plain(array, marks)


def _converted(array: pa.Array, wanted: ColumnType, separator: str | None, holds_times: bool) -> pa.Array:
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), ARROW_TYPES[wanted])
    if wanted in _ELEMENT:
        return _lists(array, _ELEMENT[wanted], separator, holds_times)
    if is_list(array.type):
        array = _single_values(array)
    if wanted == "string":
        return _texts(array)
    if holds_times:
        whole = _times(array)
        return whole if wanted == "integer" else whole.cast(pa.float32(), safe=False)
    return _integers(array) if wanted == "integer" else _float32(array)


def labels(array: pa.Array, label: Label, required: bool = True, *, marks: Sequence[str] = NULL_VALUES) -> pa.Array:
    """Converts a label column to float32: 0 or 1 by the spec's rule, the index of a class, or a number.

    Args:
        array: the label column, as read from a file.
        label: the spec of the label.
        required: whether every row must have a label.
        marks: the texts that stand for a missing value, except those that the label itself names.

    Raises:
        BadValueError: a value is missing, or the label's rule does not apply to it; the error has the first one.
    """
    array = _readable(array, [mark for mark in marks if mark not in label.texts])
    if is_list(array.type):
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
        _refuse_misspelt(compared, [value])
        return _COMPARISONS[comparison](compared, value).cast(pa.float32())
    if label.positive:
        compared = _compared(array, label.positive, "label.positive")
        _refuse_misspelt(compared, label.positive)
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


def _refuse_misspelt(array: pa.Array, positive: Sequence[str | float]) -> None:
    """Raises if a text differs from a positive one only by case or a `.0`, since it would count as negative."""
    if not pa.types.is_string(array.type):
        return
    exact = pa.array([str(value) for value in positive], pa.string())
    alike = pc.is_in(_unspelt(array), _unspelt(exact))
    said = listing(repr(value) for value in positive)
    _refuse_where(
        pc.and_(alike, pc.invert(pc.is_in(array, exact))), array, f"a label spelled as in label.positive ({said})",
        "spell all labels alike, or list each spelling in label.positive",
    )  # fmt: skip


def _unspelt(texts: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(pc.utf8_lower(texts), r"^(-?[0-9]+)\.0*$", r"\1")


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


_MOST_WEIGHT = 1e9
"""Sums of larger weights, times a loss, exceed the range of float32."""


def weights(array: pa.Array, *, marks: Sequence[str] = NULL_VALUES) -> pa.Array:
    """Converts a column of example weights to float32.

    Raises:
        BadValueError: a weight is missing, negative or too large; the error has the first one.
    """
    array = _readable(array, marks)
    if is_list(array.type):
        array = _single_values(array)
    numbers = _float32(array)
    _refuse_where(pc.fill_null(pc.less(numbers, 0), True), array, "a weight of at least 0 in every row")
    _refuse_where(pc.greater(numbers, _MOST_WEIGHT), array, f"a weight of at most {_MOST_WEIGHT:g}")
    return numbers


def _truths(array: pa.Array, value: bool) -> tuple[pa.Array, str | float]:
    """Converts a column of booleans, or of texts such as true, false, 1 and 0, to 0 and 1; `value` likewise."""
    if is_text(array.type):
        array = _cast_all(array, [_booleans], "true or false, since label.positive compares with one")
    return array, float(value)


def moments(array: pa.Array, *, marks: Sequence[str] = NULL_VALUES, holds_times: bool = False) -> pa.Array:
    """Converts a column to split by to float64, which is precise enough for milliseconds since 1970.

    Raises:
        BadValueError: a value is missing, or neither a number nor a time; the error has the first one.
    """
    array = _readable(array, marks)
    if is_list(array.type):
        array = _single_values(array)
    if pa.types.is_float32(array.type):
        lost = pc.fill_null(pc.greater(pc.abs(array), 2.0**24), False)
        expected = "a time up to 2^24, since larger floats of 32 bits have lost digits"
        _refuse_where(lost, array, expected, "store times as integers")
    found = _times(array).cast(pa.float64(), safe=False) if holds_times else _numbers(array)
    _refuse_where(found.is_null(), array, "a time in every row, to split by")
    return found


_COMPARISONS: dict[str, Callable[[pa.Array, str | float], pa.Array]] = {
    ">=": pc.greater_equal,
    ">": pc.greater,
    "<=": pc.less_equal,
    "<": pc.less,
    "==": pc.equal,
    "!=": pc.not_equal,
}


def _compared(array: pa.Array, values: Sequence[str | float], rule: str) -> pa.Array:
    """Converts a column to the type that a rule compares it with: texts or float64."""
    if isinstance(values[0], str):
        if not is_text(array.type):
            received = column_type(array.type)
            raise BadValueError(-1, f"texts, since {rule} compares with a text", received)
        return _texts(array)
    try:
        return _numbers(array)
    except BadValueError as error:
        received = array[error.row].as_py()
        advice = "quote the value in the rule to compare texts" if is_text(array.type) else ""
        raise BadValueError(error.row, f"a number, since {rule} compares with one", received, advice) from None


def _texts(array: pa.Array) -> pa.Array:
    texts = array.cast(pa.string())
    if not pa.types.is_floating(array.type):
        return texts
    # Ids stored as floats because some are missing: 12345678901, not 1.2345678901e+10.
    whole = pc.and_(pc.equal(array, pc.floor(array)), pc.less_equal(pc.abs(array), 2.0**53))
    digits = pc.if_else(whole, array, pa.scalar(None, array.type)).cast(pa.int64()).cast(pa.string())
    return pc.coalesce(digits, texts)


def _integers(array: pa.Array) -> pa.Array:
    if is_text(array.type):
        zeros = pc.match_substring_regex(array, _LEADING_ZERO)
        advice = "a number would lose its zeros: say columns: {COLUMN: string}"
        _refuse_where(zeros, array, "a whole number", advice)
        advice = "for decimals say columns: {COLUMN: float}, for texts columns: {COLUMN: string}"
        return _cast_all(array, [_int64, _whole_floats, _booleans], "a whole number", advice)
    if is_time(array.type):
        return times.seconds(array)
    if pa.types.is_floating(array.type):
        digits = 24 if pa.types.is_float32(array.type) else 53
        lost = pc.fill_null(pc.greater(pc.abs(array), 2.0**digits), False)
        _refuse_where(
            lost, array, f"a whole number up to 2^{digits}, since larger floats have lost digits",
            "store ids as integers or texts",
        )  # fmt: skip
        return _cast_all(array, [_int64], "a whole number", "for decimals say columns: {COLUMN: float}")
    return _cast_all(array, [_int64], "a whole number within int64", "for larger ones say columns: {COLUMN: string}")


def _times(array: pa.Array) -> pa.Array:
    expected = f"a date or a time such as {times.EXAMPLE}, as elsewhere in the column"
    if is_text(array.type) or is_time(array.type):
        return _cast_all(array, [times.seconds], expected, "write all values in one form")
    _refuse_where(array.is_valid(), array, expected, "write all values in one form")
    return pa.nulls(len(array), pa.int64())


def _numbers(array: pa.Array) -> pa.Array:
    """Converts a column to float64, in which all numbers can be compared. Integers beyond 2^53 are rounded."""
    parsers, advice = [_floats], ""
    if is_text(array.type):
        parsers, advice = [_floats, _booleans], "for texts say columns: {COLUMN: string}"
    elif is_time(array.type):
        parsers = [times.seconds]
    numbers = _cast_all(array, parsers, "a number", advice).cast(pa.float64(), safe=False)
    return pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)


def _float32(array: pa.Array) -> pa.Array:
    numbers = _numbers(array).cast(pa.float32())
    infinite = pc.fill_null(pc.is_inf(numbers), False)
    _refuse_where(infinite, array, "a number within the range of float32 (±3.4e38)")
    return numbers


def _lists(array: pa.Array, element: ColumnType, separator: str | None, holds_times: bool) -> pa.Array:
    """Converts a column to lists and drops their missing entries."""
    if separator is not None and is_text(array.type):
        array = pc.split_pattern(array, separator)
    elif not is_list(array.type):
        advice = "for texts with several tokens in them say 'separator'" if is_text(array.type) else ""
        raise BadValueError(-1, f"lists of which each entry is {_NAMES[element]}", column_type(array.type), advice)
    elif separator is not None:
        array = _split_entries(array, separator)
    return _with_values(array, lambda values: _entries(values, element, separator, holds_times), drop_missing=True)


def _entries(values: pa.Array, element: ColumnType, separator: str | None, holds_times: bool) -> pa.Array:
    converted = _converted(values, element, None, holds_times)
    if separator is None:
        return converted
    trimmed = pc.utf8_trim_whitespace(converted)
    return null_where(pc.equal(trimmed, ""), trimmed)


def _split_entries(lists: pa.Array, separator: str) -> pa.Array:
    """Splits the texts in lists into tokens."""
    tokens = pc.split_pattern(_converted(lists.flatten(), "string", None, holds_times=False), separator)
    rows, entries = np.asarray(pc.list_parent_indices(lists)), np.asarray(pc.list_parent_indices(tokens))
    lengths = np.bincount(rows[entries], minlength=len(lists))
    return _of_lengths(lengths, tokens.flatten(), lists.is_null())


def _with_values(lists: pa.Array, change: Parser, drop_missing: bool = False) -> pa.Array:
    """Applies `change` to the entries of lists of any layout. It must keep their number and order.

    Raises:
        BadValueError: `change` raises it; the error has the row of the list.
    """
    lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0)).astype(np.int64)
    rows = np.repeat(np.arange(len(lists)), lengths)
    try:
        values = change(lists.flatten())
    except BadValueError as error:
        error.row = int(rows[error.row]) if error.row >= 0 else -1
        raise
    if drop_missing:
        lengths = np.bincount(rows[np.asarray(values.is_valid())], minlength=len(lists))
        values = values.drop_null()
    return _of_lengths(lengths, values, lists.is_null())


def _of_lengths(lengths: npt.NDArray[np.int64], values: pa.Array, missing: pa.Array) -> pa.Array:
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    return pa.ListArray.from_arrays(offsets, values, mask=missing)


def _single_values(array: pa.Array) -> pa.Array:
    """Converts lists of one value to that value, and empty lists to null."""
    lengths = np.asarray(pc.fill_null(pc.list_value_length(array), 0))
    several = pa.array(lengths > 1)
    _refuse_where(several, array, "one value", f"for several say columns: {{COLUMN: {column_type(array.type)}}}")
    places = np.where(lengths == 1, np.cumsum(lengths) - 1, -1)
    return array.flatten().take(pa.array(places, mask=places < 0))


def _refuse_where(wrong: pa.Array, array: pa.Array, expected: str, advice: str = "") -> None:
    row = pc.index(wrong, True).as_py()
    if row >= 0:
        raise BadValueError(row, expected, array[row].as_py(), advice)


def _cast_all(array: pa.Array, parsers: Sequence[Parser], expected: str, advice: str = "") -> pa.Array:
    """The result of the first parser that accepts the whole column."""
    for parse in parsers:
        try:
            return parse(array)
        except _REFUSED:
            continue
    # The error is that of the parser that gets furthest.
    row = max(_first_failure(parse, array) for parse in parsers)
    raise BadValueError(row, expected, array[row].as_py(), advice)


def _parses(parse: Parser, array: pa.Array) -> bool:
    try:
        parse(array)
    except _REFUSED:
        return False
    return True


def _first_failure(parse: Parser, array: pa.Array) -> int:
    """The index of the first value that `parse`, which fails on the array, refuses; by bisection."""
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
    """Parses integers written as `3.0`, as pandas writes them in columns with missing values."""
    numbers = array.cast(pa.float64())
    if pc.any(pc.greater(pc.abs(numbers), 2.0**53)).as_py():
        raise pa.ArrowInvalid("floats beyond 2^53 have lost digits")
    return numbers.cast(pa.int64())


def _booleans(array: pa.Array) -> pa.Array:
    return array.cast(pa.bool_()).cast(pa.int64())
