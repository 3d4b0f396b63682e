"""CSV files of all kinds: each row is read as it was meant, or the file is refused."""

import csv
import gzip
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from schema import csv_file
from schema.csv_file import CsvFile
from schema.errors import DataError
from schema.rows import Source

Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(content: str | bytes, name: str = "a.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return to_file


def rows(path: Path, **source: object) -> list[list[str]]:
    """All rows, without the header."""
    file = CsvFile(path, Source.model_validate(source))
    batches = [batch.to_pydict() for batch in file.batches(file.names)]
    return [list(row) for batch in batches for row in zip(*batch.values(), strict=True)]


def complaint(path: Path, **source: object) -> str:
    with pytest.raises(DataError) as caught:
        rows(path, **source)
    return str(caught.value).removeprefix(f"{path}: ")


ROWS = [["u1", 'The "Best" One', "1"], ["u2", "Nice, but\nslow, and\n\nloud", "0"], ["u3", "", "1"]]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "\x01", " "])
@pytest.mark.parametrize("last_line_end", [True, False])
def test_ways_to_write_the_same_rows(write, line_end, delimiter, last_line_end):
    written = io.StringIO()
    writer = csv.writer(written, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    writer.writerows([["user", "title", "y"], *ROWS])
    text = written.getvalue()
    text = text if last_line_end else text[: -len(line_end)]
    plain, blank = text.encode(), text.replace(f"{line_end}u3", f"{line_end}{line_end}u3").encode()

    for content in (plain, blank, b"\xef\xbb\xbf" + plain, gzip.compress(plain)):
        assert rows(write(content), delimiter=delimiter) == ROWS
    halves = gzip.compress(plain[:20]) + gzip.compress(plain[20:])
    assert rows(write(halves, "a.csv.gz"), delimiter=delimiter) == ROWS
    assert rows(write(plain, "plain.csv.gz"), delimiter=delimiter) == ROWS
    names = {"header": False, "column_names": ["a", "b", "c"]}
    assert rows(write(plain), delimiter=delimiter, **names) == [["user", "title", "y"], *ROWS]
    if delimiter == "\t":
        assert rows(write(plain, "a.tsv")) == rows(write(gzip.compress(plain), "a.tsv.gz")) == ROWS


HEADER = "user,title,price,y\n"
PLAIN = "".join(f"u{row},Film {row % 7},{row}.5,{row % 2}\n" for row in range(40))
DOUBLE = "double quotes inside quoted fields, or say source: {quoting: none} if quotes are letters in this file"
ESCAPE = "say source: {escape: '\\'} if backslashes stand before quotes that are letters"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f'{PLAIN}u1,"Unclosed,1.5,1\n{PLAIN}u2,"Unclosed,1.5,1\n',
         "line 42: title: expected nothing between a closing quote and the next delimiter, received 'Unclosed,1.5,1' "
         f"after the quote that closes this field 41 lines on; {DOUBLE}"),
        ('u1,"a" b,1.5,1\n',
         "line 2: title: expected nothing between a closing quote and the next delimiter, received ' b,1.5,1' after "
         f"the quote that closes this field; {DOUBLE}"),
        (f'{PLAIN}u1,Film,2.5,"0\n{PLAIN}', f"line 42: y: expected a closing quote, received none in the rest of the "
         f"file; {DOUBLE}"),
        ('"', f"line 2: user: expected a closing quote, received none in the rest of the file; {DOUBLE}"),
        (f'{PLAIN}u1,",1.5,1\nu2,",2.5,0\n{PLAIN}',
         "line 42: title: expected a field, received 2 lines between this quote and the next, of which 2 look like "
         f"rows; {DOUBLE}"),
        (f'{PLAIN}u1,"Unclosed,1.5,1\n{PLAIN}u2,TV 24",2.5,0\n',
         "line 42: title: expected a field, received 42 lines between this quote and the next, of which 42 look like "
         f"rows; {DOUBLE}"),
        ('u1,"He said ""hi""\nand ""bye""",1.5,1\nu2,"a \\"b\\", c",2.5,0\n',
         "line 4: title: expected nothing between a closing quote and the next delimiter, received "
         f"'b\\\\\", c\",2.5,0' after the quote that closes this field; {ESCAPE}"),
        ('u1,"\\"",1.5,1\nu2,"\\"",1.5,1\n',
         "line 2: title: expected nothing between a closing quote and the next delimiter, received '\\\\\"\",1.5,1' "
         f"after the quote that closes this field 1 line on; {ESCAPE}"),
        ('u1, "a",1.5,1\n',
         "line 2: title: expected a quote that begins its field, received a space before it; remove the space, or say "
         "source: {quoting: none} if quotes are letters in this file"),
        (f"{PLAIN}u1,a\0b,1.5,1\n",
         "line 42: title: expected text, received a NUL byte; save the file as UTF-8 if it is in UTF-16, else replace "
         "the file"),
        (f"{PLAIN}\x1a", "line 42: expected 4 fields, received 1; it is DOS' mark of a file's end, Ctrl-Z: remove it"),
        (f"{PLAIN}{HEADER}{PLAIN}",
         "line 42: expected a row, received the header again; remove it where files were put together"),
        (f"{PLAIN}\ufeff{HEADER}{PLAIN}",
         "line 42: expected a row, received the header again; remove it where files were put together"),
        ("u1,a,1.5,1,\n", "line 2: expected 4 fields, received 5; remove the delimiter at the line's end"),
        ("u1,a\\,b,1.5,1\n", "line 2: expected 4 fields, received 5; say source: {escape: '\\'} if backslashes stand "
         "before delimiters that are letters"),
        ("u1,a\rb,1.5,1\n", "line 2: expected 4 fields, received 2"),
        ("u1;a;1.5;1\n", 'line 2: expected 4 fields, received 1; say source: {delimiter: ";"}'),
    ],
)  # fmt: skip
def test_rows_that_would_be_lost_or_invented(write, content, message):
    assert complaint(write(HEADER + content)) == message
    assert complaint(write(gzip.compress((HEADER + content).encode()))) == message
    assert complaint(write(f"\ufeff{HEADER}{content}".replace("\n", "\r\n"))) == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PAR1\x15\x04", "expected text in UTF-8, received a Parquet file; say source: {format: parquet}"),
        (b"PK\x03\x04\x14\0", "expected text in UTF-8, received a zip archive or a spreadsheet; unpack it, or save it "
         "as CSV"),
        (gzip.compress(b"PAR1\x15\x04", mtime=0), "expected text in UTF-8, received a Parquet file; say source: "
         "{format: parquet}"),
        ("a,b\n1,2\n".encode("utf-16"), "expected text in UTF-8, received text in UTF-16; save the file as UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), "line 1: a\0: expected text, received a NUL byte; save the file as UTF-8 if "
         "it is in UTF-16, else replace the file"),
        (gzip.compress(HEADER.encode() + PLAIN.encode() * 100, mtime=0)[:200],
         "expected a gzipped file, received one that is cut off; get the whole file"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0)[:-8] + b"\0" * 8,
         "expected a gzipped file, received a damaged one: CRC check failed"),
        (b"a;b;c\n1;2;3\n", 'line 1: expected several columns, received one: \'a;b;c\'; say source: {delimiter: ";"}'),
        (b"a\tb\n1\t2\n", 'line 1: expected several columns, received one: \'a\\tb\'; say source: {delimiter: "\\t"}'),
        (b"a\n1\n", "line 1: expected several columns, received one: 'a'"),
        (b'"a,b\n1,2\n', f"line 1: field 1: expected a closing quote, received none in the rest of the file; {DOUBLE}"),
        (b'a,"b"c\n1,2\n', "line 1: field 2: expected nothing between a closing quote and the next delimiter, received "
         f"'c' after the quote that closes this field; {DOUBLE}"),
    ],
)  # fmt: skip
def test_files_of_another_kind(write, content, message):
    assert complaint(write(content)).startswith(message)


@pytest.mark.parametrize(
    "review",
    [
        "Nice, but\nslow",
        "Nice, really\ngood, honest",
        "Nice, really\nvery, very, slow, ok\ngood, honest, and loud\n\nbye, then, all",
        "one\ntwo\nthree, four",
        "\n",
        "\n\n\n",
        ", ,\n,,,\n",
        'He said "no, 1, 2"\nand "yes"',
        "Ingredients: 1, 2, 3\n4, 5\nflour",
        "\n".join(["A line, with, commas, in it"] * 30),
        ",\n" * 500,
    ],
)
@pytest.mark.parametrize("place", range(4))
def test_fields_of_several_lines_are_no_lost_rows(write, review, place):
    wanted = [[f"u{row}", f"{row}.5", str(row % 2)] for row in range(30)]
    for number, row in enumerate(wanted):
        row.insert(place, review if number % 2 else f"short {number}")
    written = io.StringIO()
    csv.writer(written).writerows([["a", "b", "c", "d"], *wanted])

    found = rows(write(written.getvalue()))

    assert found == [[field.strip() for field in row] for row in wanted]


def test_files_that_do_not_quote(write):
    path = write('user,title,y\nu1,"Unclosed,1\nu2, "So" it is,0\nu3,24",1\n')
    assert rows(path, quoting="none") == [["u1", '"Unclosed', "1"], ["u2", '"So" it is', "0"], ["u3", '24"', "1"]]


def test_quotes_inside_fields_without_quotes_are_letters(write):
    path = write('user,title,y\nu1,24" TV,1\nu2,He said "hi",0\n')
    assert rows(path) == [["u1", '24" TV', "1"], ["u2", 'He said "hi"', "0"]]


def test_files_with_escapes(write):
    spark = write('user,title,y\nu1,"He said \\"hi\\", then\nleft",1\nu2,C:\\\\dir,0\nu3,"\\"",1\n')
    assert rows(spark, escape="\\") == [
        ["u1", 'He said "hi", then\nleft', "1"],
        ["u2", "C:\\dir", "0"],
        ["u3", '"', "1"],
    ]
    mysql = write("user\ttitle\ty\nu1\ta\\\tb\\\nc\t1\nu2\t\\N\t0\nu3\t\\\\N\t1\nu4\ta\\nb\t1\n", "a.tsv")
    assert rows(mysql, escape="\\", quoting="none") == [
        ["u1", "a\tb\nc", "1"],
        ["u2", "\\N", "0"],
        ["u3", "\\N", "1"],
        ["u4", "a\\nb", "1"],
    ]


@pytest.mark.parametrize("content", [b"", b"\n\r\n\n", gzip.compress(b"", mtime=0)])
def test_a_file_without_anything_has_no_rows(write, content):
    file = CsvFile(write(content), Source())
    assert (list(file.names), file.sample([], 1), list(file.batches([]))) == ([], None, [])


def test_a_file_put_together_from_others_with_byte_order_marks(write):
    path = write("\ufeff1,a\n\ufeff2,b\n")
    assert rows(path, header=False, column_names=["x", "y"]) == [["1", "a"], ["2", "b"]]


def test_one_column_may_hold_its_own_name(write):
    path = write("user,title,y\nu1,title,1\nu2,x,0\n")
    file = CsvFile(path, Source())
    assert [batch["title"].to_pylist() for batch in file.batches(["title"])] == [["title", "x"]]
    assert rows(path) == [["u1", "title", "1"], ["u2", "x", "0"]]


def test_a_quote_that_is_not_closed_within_a_block(write, monkeypatch):
    monkeypatch.setattr(csv_file, "_BLOCK_BYTES", 1 << 20)
    content = HEADER + f'u1,"Unclosed,1.5,1\n{PLAIN}' + "u1,a,1.5,1\n" * 200_000 + 'u1,"a",1.5,1\n'
    assert complaint(write(content)) == f"line 2: title: expected a closing quote, received none in 1 MB; {DOUBLE}"


_FIELDS = st.text('a, \n\r"\\', max_size=5).flatmap(
    lambda text: st.sampled_from([text, '"{}"'.format(text.replace('"', '""')), "a", '"a"', '"\n"'])
)
_ROWS = st.lists(st.tuples(_FIELDS, st.sampled_from([",", ",", ",a"]), _FIELDS).map("".join), max_size=5)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=_ROWS.map("\n".join) | _ROWS.map("\r".join),
    quoting=st.sampled_from(["minimal", "none"]),
    escape=st.sampled_from([None, "\\"]),
    block_bytes=st.sampled_from([csv_file._BLOCK_BYTES, 16]),
)
@example(text='"a\n",\n', quoting="minimal", escape=None, block_bytes=16)
@example(text='\\\n"\\,a",\\\n\n', quoting="minimal", escape="\\", block_bytes=16)
@example(text="a,\\", quoting="none", escape="\\", block_bytes=16)
def test_the_rows_are_those_of_the_csv_module_or_the_file_is_refused(write, text, quoting, escape, block_bytes):
    path = write("a,b\n" + text)
    options = {"quoting": csv.QUOTE_MINIMAL if quoting == "minimal" else csv.QUOTE_NONE, "escapechar": escape}
    if escape:  # before a letter it is one itself
        text = re.sub(r"(?<!\\)((?:\\\\)*)\\(?=a)", r"\1\\\\", text)
    expected: list[list[str]] | None
    try:
        expected = [row for row in csv.reader(io.StringIO(text + "\n\n", newline=""), strict=True, **options) if row]
    except csv.Error:
        expected = None
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(csv_file, "_BLOCK_BYTES", block_bytes)
            found = rows(path, quoting=quoting, escape=escape, null_values=["none of these"])
    except DataError:
        return
    assert expected is not None
    assert found == [[field.strip() for field in row] for row in expected]
