"""JSON as RapidJSON has it: accepted texts, refused texts, and output."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.server.json_document import MISSING, JsonError, Members, PrettyWriter, abbreviated, parse, text_bytes


@pytest.mark.parametrize(
    ("document", "value"),
    [
        (b'{"a": [1, -2.5, "x", true, false, null], "b": {}}', [("a", [1, -2.5, "x", True, False, None]), ("b", [])]),
        (b' \n\r\t{"a": 1}, and more', [("a", 1)]),
        (b'\xef\xbb\xbf{"a": 1}', [("a", 1)]),
        (b'{"a": 1, "a": 2}', [("a", 1), ("a", 2)]),
        (b'{"a": [Infinity, -Infinity, Inf, -Inf]}', [("a", [math.inf, -math.inf, math.inf, -math.inf])]),
        (b'{"a": 9e308}', [("a", math.inf)]),
        (b'{"a": 1e-' + b"9" * 5000 + b"}", [("a", 0.0)]),
        (b"[]", []),
        (b'"x"', "x"),
        (b"7", 7),
        (b'{"a": "\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00"}', [("a", '"\\/\b\f\n\r\té😀')]),
    ],
)
def test_what_is_taken(document, value):
    assert parse(document) == value


@pytest.mark.parametrize(
    ("digits", "kind"),
    [
        (str(2**64 - 1), int),
        (str(2**64), float),
        (str(-(2**63)), int),
        (str(-(2**63) - 1), float),
        ("1" * 300, float),
        ("1.0", float),
        ("1e2", float),
        ("-0", int),
    ],
)
@pytest.mark.parametrize("beginning", [b'{"a": ', b'\xef\xbb\xbf{"a": '], ids=["fast", "slow"])
def test_integers_have_64_bits(digits, kind, beginning):
    value = parse(beginning + digits.encode() + b"}").find("a")

    assert type(value) is kind
    assert value == kind(digits)


@pytest.mark.parametrize("document", [b'{"a": NaN}', b'{"a": -NaN}'])
def test_not_a_number_is_a_number(document):
    assert math.isnan(parse(document).find("a"))


def test_strings_hold_any_bytes():
    assert text_bytes(parse(b'{"a": "\xff\x80 \\udc00 \xc3\xa9"}').find("a")) == b"\xff\x80 \xed\xb0\x80 \xc3\xa9"


def test_any_depth():
    value = parse(b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b', "b": 1}')

    assert value.find("b") == 1
    assert abbreviated(value).startswith('{\n    "a": [[[[')


def test_the_first_of_a_name_is_found():
    assert parse(b'{"a": 1, "b": null, "a": 2}').find("a") == 1
    assert parse(b'{"a": 1}').find("b") is MISSING
    assert parse(b'{"a": null}').find("a") is None


@pytest.mark.parametrize(
    ("document", "error"),
    [
        (b"", "The document is empty"),
        (b"  ", "The document is empty. at offset: 2"),
        (b"]", "The document is empty. at offset: 0"),
        (b"instances = [1, 2]", "Invalid value. at offset: 0"),
        (b"nope", "Invalid value. at offset: 1"),
        (b'{"a": tru}', "Invalid value. at offset: 9"),
        (b'{"a": -x}', "Invalid value. at offset: 7"),
        (b'{"a": [1,]}', "Invalid value. at offset: 9"),
        (b'{"a": }', "Invalid value. at offset: 6"),
        (b'{"a": Nan}', "Invalid value. at offset: 8"),
        (b"{", "Missing a name for object member. at offset: 1"),
        (b'{"a": 1,}', "Missing a name for object member. at offset: 8"),
        (b"{a: 1}", "Missing a name for object member. at offset: 1"),
        (b'{"a" 1}', "Missing a colon after a name of object member. at offset: 5"),
        (b'{"a": 1 "b": 2}', "Missing a comma or '}' after an object member. at offset: 8"),
        (b'{"a": 01}', "Missing a comma or '}' after an object member. at offset: 7"),
        (b'{"a": 1\x00}', "Missing a comma or '}' after an object member. at offset: 7"),
        (b'{"a": [1}', "Missing a comma or ']' after an array element. at offset: 8"),
        (b'{"a": [1', "Missing a comma or ']' after an array element. at offset: 8"),
        (b'{"a": "x', "Missing a closing quotation mark in string. at offset: 8"),
        (b'{"a": "\n"}', "Invalid escape character in string. at offset: 7"),
        (b'{"a": "\\x"}', "Invalid escape character in string. at offset: 7"),
        (b'{"a": "\\u12g4"}', "Incorrect hex digit after \\u escape in string. at offset: 7"),
        (b'{"a": "\\ud83d"}', "The surrogate pair in string is invalid. at offset: 7"),
        (b'{"a": "\\ud83d\\u0041"}', "The surrogate pair in string is invalid. at offset: 7"),
        (b'{"a": 1.}', "Miss fraction part in number. at offset: 8"),
        (b'{"a": 1e+}', "Miss exponent in number. at offset: 9"),
        (b'{"a": 1e309}', "Number too big to be stored in double. at offset: 6"),
        (b'{"a": 1e' + b"9" * 5000 + b"}", "Number too big to be stored in double. at offset: 6"),
        (b'{"a": ' + b"9" * 5000 + b"}", "Number too big to be stored in double. at offset: 6"),
    ],
)
def test_what_is_refused(document, error):
    with pytest.raises(JsonError) as raised:
        parse(document)
    assert str(raised.value) == error


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (0.1, "0.1"),
        (123456.789, "123456.789"),
        (1e20, "100000000000000000000.0"),
        (1e21, "1e21"),
        (1.25e300, "1.25e300"),
        (1e-6, "0.000001"),
        (1.5e-7, "1.5e-7"),
        (2**64 - 1, "18446744073709551615"),
    ],
)
def test_numbers_in_messages(number, text):
    assert abbreviated(number) == text


def test_values_in_messages():
    value = Members([("a", [1, "x\n", None, True]), ("b", Members()), ("c", [[], [2.5]])])

    assert abbreviated(value) == '{\n    "a": [1, "x\\n", null, true],\n    "b": {},\n    "c": [[], [2.5]]\n}'


def test_long_values_are_cut_after_the_token_that_is_too_much():
    assert abbreviated(["x" * 300, 1]) == f'["{"x" * 300}"'
    # Commas are written with what follows them: "[1", then 84 times ", 22".
    assert abbreviated([1] + [22] * 100) == "[1" + ", 22" * 64


def test_a_number_that_cannot_be_written_ends_a_message():
    assert abbreviated([1, math.nan, 2]) == "[1, "


def test_lists_have_lines_or_not():
    writer = PrettyWriter()
    writer.start("{")
    writer.string("a")
    writer.start("[")
    writer.array(["1", "2"])
    writer.single_line_arrays = True
    writer.array(["3", "4"])
    writer.array([])
    writer.single_line_arrays = False
    writer.end()
    writer.string("b")
    writer.value("null")
    writer.end()

    assert (
        writer.text()
        == """{
    "a": [
        [
            1,
            2
        ], [3, 4], []
    ],
    "b": null
}"""
    )


_PIECES = st.sampled_from(
    [
        *'[]{}:,"',
        '"a"',
        '"\\u00e9"',
        "\\",
        "\\ud8",
        "\n",
        "é",
        "0",
        "-",
        "1",
        ".5",
        "e",
        "E+",
        "9" * 20,
        "308",
        "null",
        "true",
        "NaN",
        "Infinity",
        "i",
    ]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(max_size=3), values, max_size=4),
    max_leaves=12,
)


def outcome(document):
    try:
        return repr(parse(document))
    except JsonError as error:
        return str(error).partition(" at offset")[0]


@settings(max_examples=500, deadline=None)
@given(
    _VALUES.map(lambda value: json.dumps({"a": value})), st.lists(st.tuples(st.integers(0, 200), _PIECES), max_size=3)
)
def test_python_s_parser_and_ours_agree(text, changes):
    """Behind a byte order mark Python's parser is not asked."""
    for place, piece in changes:
        text = text[:place] + piece + text[place:]

    assert outcome(b"\xef\xbb\xbf" + text.encode()) == outcome(text.encode())
