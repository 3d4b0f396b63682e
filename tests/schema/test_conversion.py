"""Arrow columns of any type become the few types of examples, or one message about the first value that cannot."""

import datetime
import math
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.conversion import BadValueError, column_type, convert, labels, weights
from schema.feature_spec import Label


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (pa.array([1], pa.int8()), "integer"),
        (pa.array([True]), "integer"),
        (pa.array([1], pa.timestamp("ms")), "integer"),
        (pa.array([1.5], pa.float64()), "float"),
        (pa.array([Decimal("1.5")]), "float"),
        (pa.array(["a"], pa.large_string()), "string"),
        (pa.array([b"a"], pa.binary()), "string"),
        (pa.array(["a"]).dictionary_encode(), "string"),
        (pa.array([None]), "string"),
        (pa.array([[1]], pa.large_list(pa.int16())), "integers"),
        (pa.array([["a"]], pa.list_(pa.string(), 1)), "strings"),
        (pa.array([[1.5]]), "floats"),
    ],
)
def test_the_type_of_an_arrow_column(array, kind):
    assert column_type(array.type) == kind


def test_a_type_of_which_no_feature_is_made():
    with pytest.raises(BadValueError) as caught:
        column_type(pa.struct([("a", pa.int64())]))

    assert caught.value.of("meta") == (
        "meta: expected texts, numbers or lists of these, received struct<a: int64>; add the column to 'ignore'"
    )


DAY = 86400


@pytest.mark.parametrize(
    ("array", "wanted", "values"),
    [
        (pa.array(["3", " 4 ", None]), "integer", [3, 4, None]),
        (pa.array(["3.0", "4"]), "integer", [3, 4]),  # as pandas writes integers beside missing ones
        (pa.array(["9223372036854775807"]), "integer", [2**63 - 1]),
        (pa.array(["true", "FALSE"]), "integer", [1, 0]),
        (pa.array([3.0, math.nan]), "integer", [3, None]),
        (pa.array([datetime.date(1970, 1, 3)]), "integer", [2 * DAY]),
        (pa.array([datetime.datetime(1970, 1, 2)], pa.timestamp("ns", "Asia/Tokyo")), "integer", [DAY]),
        (pa.array([datetime.time(0, 1, 5)]), "integer", [65]),
        (pa.array([datetime.timedelta(seconds=90)]), "integer", [90]),
        (pa.array([True, None]), "integer", [1, None]),
        (pa.array([7, None], pa.uint8()), "float", [7.0, None]),
        (pa.array(["0.5", "1e3", "nan"]), "float", [0.5, 1000.0, None]),
        (pa.array([0.5, math.nan]), "float", [0.5, None]),
        (pa.array([Decimal("0.5")]), "float", [0.5]),
        (pa.array([2**53 + 1]), "float", [float(2**53)]),
        (pa.array([1, None]), "string", ["1", None]),
        (pa.array([b"caf\xc3\xa9"]), "string", ["café"]),
        (pa.array(["a", None]).dictionary_encode(), "string", ["a", None]),
        (pa.array(["a", None], pa.string_view()), "string", ["a", None]),
        (pa.array([b"a", None], pa.binary_view()), "string", ["a", None]),
        (pa.array([[1, 2], None, [3]], pa.list_view(pa.int32())), "integers", [[1, 2], None, [3]]),
        (pa.array([[1, 2], None, [3]], pa.large_list_view(pa.int32())), "integers", [[1, 2], None, [3]]),
        (pa.array([7.0, 12345678901.0, 0.5]), "string", ["7", "12345678901", "0.5"]),
        (pa.array([None, None]), "integer", [None, None]),
        (pa.array([None, None]), "strings", [None, None]),
        (pa.array([[5], [], None]), "integer", [5, None, None]),
        (pa.array([["a", None], [], None]), "strings", [["a"], [], None]),
        (pa.array([[1.0, math.nan, 2.0]]), "integers", [[1, 2]]),
        (pa.array([[1], [2, 3]], pa.large_list(pa.int32())), "integers", [[1], [2, 3]]),
        (pa.array([[1, 2]], pa.list_(pa.int32(), 2)), "floats", [[1.0, 2.0]]),
    ],
)
def test_conversion_by_hand(array, wanted, values):
    assert convert(array, wanted).to_pylist() == values
    # A slice remembers the values around it.
    padded = pa.concat_arrays([array, array, array])[len(array) : 2 * len(array)]
    assert convert(padded, wanted).to_pylist() == values


def test_separators_split_texts_into_trimmed_tokens():
    array = pa.array(["a|b c| d ", "", None, "||", "e"])

    assert convert(array, "strings", separator="|").to_pylist() == [["a", "b c", "d"], None, None, [], ["e"]]
    lists = pa.array([["a|b", "c", None], [], None])
    assert convert(lists, "strings", separator="|").to_pylist() == [["a", "b", "c"], [], None]


DECIMALS = "; for decimals say columns: {c: float}, for texts columns: {c: string}"


@pytest.mark.parametrize(
    ("array", "wanted", "row", "message"),
    [
        (["1", "2", "x3"], "integer", 2,
         "c: expected a whole number, received 'x3'" + DECIMALS),
        (["1", "2.5"], "integer", 1,
         "c: expected a whole number, received '2.5'" + DECIMALS),
        (["12", "007"], "integer", 1,
         "c: expected a whole number, received '007'; "
         "a number would lose its zeros: say columns: {c: string}"),
        (["1.0", "1234567890123456789"], "integer", 1,
         "c: expected a whole number, received '1234567890123456789'" + DECIMALS),
        (["1970-01-01", "1970-13-01"], "integer", 0,
         "c: expected a whole number, received '1970-01-01'" + DECIMALS),
        (["1.5", None, "abc"], "float", 2, "c: expected a number, received 'abc'; for texts say columns: {c: string}"),
        (["1", "inf"], "float", 1, "c: expected a number within the range of float32 (±3.4e38), received 'inf'"),
        ([1.0, 1e300], "float", 1, "c: expected a number within the range of float32 (±3.4e38), received 1e+300"),
        ([1.0, 2.5], "integer", 1,
         "c: expected a whole number, received 2.5; for decimals say columns: {c: float}"),
        ([1.0, 2.0**53 + 2], "integer", 1,
         "c: expected a whole number up to 2^53, since larger floats have lost digits, received 9007199254740994.0; "
         "store ids as integers or texts"),
        (pa.array([1, 2**64 - 1], pa.uint64()), "integer", 1,
         "c: expected a whole number within int64, received 18446744073709551615; "
         "for larger ones say columns: {c: string}"),
        ([b"a", b"\xff"], "string", 1,
         "c: expected UTF-8 text, received b'\\xff'; add the column to 'ignore', or store it as text"),
        ([[1], [2, 3]], "integer", 1,
         "c: expected one value, received [2, 3]; for several say columns: {c: integers}"),
        ([["1"], ["2", "x"]], "integers", 1,
         "c: expected a whole number, received 'x'" + DECIMALS),
        (["a|b"], "strings", -1,
         "c: expected lists of which each entry is a text, received string; for texts with several tokens in them "
         "say 'separator'"),
        ([1], "strings", -1, "c: expected lists of which each entry is a text, received integer"),
    ],
)  # fmt: skip
def test_the_first_bad_value(array, wanted, row, message):
    with pytest.raises(BadValueError) as caught:
        convert(pa.array(array) if isinstance(array, list) else array, wanted)

    assert caught.value.of("c") == message
    assert caught.value.row == row


@pytest.mark.parametrize(
    ("positive", "array", "values"),
    [
        (None, ["1", "0", "1.0"], [1, 0, 1]),
        (None, ["true", "false"], [1, 0]),
        (None, [True, False], [1, 0]),
        (None, [0.0, 1.0], [0, 1]),
        (">= 4", ["3", "4", "4.5"], [0, 1, 1]),
        ("> 4", [3, 4, 5], [0, 0, 1]),
        ("<= 4", [3, 4, 5], [1, 1, 0]),
        ("< 4", [3, 4, 5], [1, 0, 0]),
        ("!= 4", [3, 4, 5], [1, 0, 1]),
        ("== yes", ["yes", "no"], [1, 0]),
        ("== True", ["true", "false"], [1, 0]),
        ("== true", ["True ", "FALSE", "1"], [1, 0, 1]),
        ("== true", [True, False], [1, 0]),
        ("!= true", [True, False], [0, 1]),
        ("== FALSE", [1, 0], [0, 1]),
        ("== 'true'", ["true", "false"], [1, 0]),
        (True, [True, False], [1, 0]),
        (False, ["true", "false"], [0, 1]),
        ("!= no", ["yes", "no"], [1, 0]),
        ("== '1'", ["1", "0"], [1, 0]),
        ("== 1", ["1", "1.0"], [1, 1]),
        ("== 50000+.", ["- 50000.", "50000+."], [0, 1]),
        (["a", "b"], ["a", "c", "b"], [1, 0, 1]),
        ([4, 5], ["4", "3", "5.0"], [1, 0, 1]),
        ([4.5], [4.5, 4.0], [1, 0]),
    ],
)
def test_labels_by_hand(positive, array, values):
    label = Label(column="y", positive=positive)

    found = labels(pa.array(array), label)

    assert found.type == pa.float32()
    assert found.to_pylist() == values


@pytest.mark.parametrize(
    ("positive", "array", "row", "message"),
    [
        (None, ["1", None], 1, "y: expected a label in every row, received none"),
        (None, [1.0, math.nan], 1, "y: expected a label in every row, received none"),
        (">= 4", [5, None], 1, "y: expected a label in every row, received none"),
        (["a"], ["a", None], 1, "y: expected a label in every row, received none"),
        (None, ["0", "2"], 1,
         "y: expected 0 or 1 as the label, received '2'; say which values are positive, such as label: "
         "{column: y, positive: …}"),
        (None, ["yes"], 0,
         "y: expected 0 or 1 as the label, received 'yes'; say which values are positive, such as label: "
         "{column: y, positive: …}"),
        (">= 4", ["5", "good"], 1,
         "y: expected a number, since label.positive (>= 4) compares with one, received 'good'; quote the value in "
         "the rule to compare texts"),
        ([1, 2], ["5", "good"], 1,
         "y: expected a number, since label.positive compares with one, received 'good'; quote the value in the rule "
         "to compare texts"),
        ("== yes", [1, 0], -1,
         "y: expected texts, since label.positive (== yes) compares with a text, received integer"),
    ],
)  # fmt: skip
def test_labels_that_cannot_be_told(positive, array, row, message):
    with pytest.raises(BadValueError) as caught:
        labels(pa.array(array), Label(column="y", positive=positive))

    assert caught.value.of("y") == message
    assert caught.value.row == row


def test_weights():
    assert weights(pa.array(["0", "2.5"])).to_pylist() == [0.0, 2.5]
    for bad, shown in ((-1.0, "-1.0"), (None, "none"), (math.nan, "none")):
        with pytest.raises(BadValueError, match=f"expected a weight of at least 0 in every row, received {shown}"):
            weights(pa.array([1.0, bad]))


@settings(deadline=None)
@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)))
def test_integers_survive_as_texts(values):
    texts = pa.array([None if value is None else str(value) for value in values], pa.string())
    assert convert(texts, "integer").to_pylist() == values


@settings(deadline=None)
@given(st.lists(st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_floats_survive_as_texts(values):
    texts = pa.array([None if value is None else repr(value) for value in values], pa.string())

    assert convert(texts, "float").to_pylist() == values


@settings(deadline=None)
@given(st.lists(st.none() | st.lists(st.none() | st.integers(0, 9), max_size=4)))
def test_lists_keep_their_rows(values):
    expected = [None if row is None else [value for value in row if value is not None] for row in values]

    assert convert(pa.array(values, pa.list_(pa.int16())), "integers").to_pylist() == expected


@settings(deadline=None)
@given(st.lists(st.integers(0, 99), min_size=1, max_size=200), st.data())
def test_the_first_bad_value_is_found_wherever_it_is(numbers, data):
    texts = [str(number) for number in numbers]
    places = data.draw(st.lists(st.integers(0, len(texts) - 1), min_size=1))
    for place in places:
        texts[place] = f"bad{place}"

    with pytest.raises(BadValueError, match=f"received 'bad{min(places)}'") as caught:
        convert(pa.array(texts), "float")
    assert caught.value.row == min(places)


@pytest.mark.parametrize(
    ("label", "values", "expected"),
    [
        ({"classes": 3}, [2, 0, 1], [2, 0, 1]),
        ({"classes": 3}, ["2", "0", "1"], [2, 0, 1]),
        ({"classes": [1, 2, 4.5]}, [4.5, 1.0, 2.0], [2, 0, 1]),
        ({"classes": ["low", "high"]}, ["high", "low", "high"], [1, 0, 1]),
        ({"number": True}, ["2.5", "-1", "1e3"], [2.5, -1, 1000]),
    ],
)
def test_labels_of_many_classes_are_their_places_and_numbers_are_themselves(label, values, expected):
    assert labels(pa.array(values), Label(column="y", **label)).to_pylist() == expected


@pytest.mark.parametrize(
    ("label", "values", "row", "message"),
    [
        ({"classes": 3}, [2, 3], 1, "expected a whole number from 0 to 2 (label.classes), received 3"),
        ({"classes": 3}, [0.5], 0, "expected a whole number from 0 to 2 (label.classes), received 0.5"),
        ({"classes": ["a", "b"]}, ["a", "c"], 1, "expected one of label.classes, received 'c'"),
        (
            {"classes": ["a", "b"]},
            [1],
            -1,
            "expected texts, since label.classes compares with a text, received integer",
        ),
        ({"classes": 3}, ["x"], 0, "expected a number, since label.classes compares with one, received 'x'"),
        ({"number": True}, ["1", "many"], 1, "expected a number, received 'many'"),
        ({"number": True}, [1.0, None], 1, "expected a label in every row, received none"),
    ],
)
def test_labels_that_are_none(label, values, row, message):
    with pytest.raises(BadValueError) as caught:
        labels(pa.array(values), Label(column="y", **label))
    assert (caught.value.row, str(caught.value)) == (row, message)


@pytest.mark.parametrize("positive", [None, ">= 1", [1, 7]])
def test_another_label_may_be_missing(positive):
    found = labels(pa.array([1.0, None, 0.0]), Label(column="y", positive=positive), required=False)
    assert found.to_pylist() == [1, None, 0]
