"""Broken files of a user: one paragraph says where, before anything is trained or pushed, while the model that was
pushed before goes on being served.
"""

from __future__ import annotations

import io
import re

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.live.ranking import Ranker
from schema.dataset import find
from serving.server import Server, ServerOptions

TIMEOUT_S = 60


@pytest.fixture(scope="module")
def ranker(stranger):
    """Asks a server of the stranger's pushed model, which runs all the while."""
    with Server(ServerOptions("stranger", str(stranger.root.serving))) as server:
        server.wait_until_available(TIMEOUT_S)
        with Ranker(find(stranger.folder), f"127.0.0.1:{server.port}") as ranker:
            yield ranker


@pytest.fixture
def is_refused(stranger, ranker, rankline):
    """Runs a dataset that must be refused; gives what is said of it, the component that said it, and checks that
    nothing was pushed and the server answers as before.
    """

    def run(folder) -> tuple[str, str | None]:
        versions, answer = stranger.root.versions(), ranker.rank("u1", 5)
        done = rankline("run", "-d", str(folder), "--root", str(stranger.root.path), "--no-serve", *stranger.settings)

        assert done.returncode == 1
        assert done.stderr.startswith("Error: ")
        paragraph = done.stderr.removeprefix("Error: ").rstrip("\n")
        assert "\n\n" not in paragraph
        assert "Traceback" not in done.stderr
        stopped_by = re.findall(r"^  ✗ (\w+)$", done.stdout, re.MULTILINE)
        assert not {"Transform", "Trainer"} & set(re.findall(r"^  [✓=] (\w+)", done.stdout, re.MULTILINE))
        if stopped_by:
            assert f"stopped: {stopped_by[0]}" in rankline("runs", "--root", str(stranger.root.path), "-n1").stdout
        assert stranger.root.versions() == versions
        assert ranker.rank("u1", 5) == answer
        return paragraph.replace(f"{folder}/", ""), stopped_by[0] if stopped_by else None

    return run


def rows(stranger) -> list[str]:
    """The lines of the second day's file, header first."""
    return (stranger.folder / "day2.csv").read_text().splitlines()


def replaced(lines: list[str], number: int, change) -> str:
    """The file's text with the line of that number (from 1) changed."""
    return "\n".join([*lines[: number - 1], change(lines[number - 1]), *lines[number:], ""])


def field(column: int, text: str):
    """Changes the field of that index to a text."""

    def change(line: str) -> str:
        fields = line.split(",")
        return ",".join([*fields[:column], text, *fields[column + 1 :]])

    return change


COLUMNS = {"user": 0, "movie": 1, "title": 2, "tags": 3, "price": 4, "stars": 5}


def without_price(lines):
    return "\n".join(",".join(field for at, field in enumerate(line.split(",")) if at != 4) for line in [*lines, ""])


@pytest.mark.parametrize(
    ("broken", "message", "by"),
    [
        (without_price, "day2.csv: expected a column 'price', received the columns user, movie, title, tags, stars",
         "ExampleGen"),
        (lambda lines: replaced(lines, 500, lambda line: line + ",7"),
         "day2.csv: line 500: expected 6 fields, received 7", None),
        (lambda lines: replaced(lines, 321, field(COLUMNS["price"], "abc")),
         "day2.csv: line 321: price: expected a number, received 'abc'", "ExampleGen"),
        (lambda lines: replaced(lines, 77, field(COLUMNS["title"], "Amélie")).encode("latin-1"),
         "day2.csv: line 77: title: expected UTF-8 text, received byte 0xe9 at offset ", None),
    ],
    ids=["missing column", "broken row", "text for a number", "not UTF-8"],
)  # fmt: skip
def test_a_file_that_is_broken(stranger, is_refused, tmp_path, broken, message, by):
    """What shows at a file's beginning is told before any component runs."""
    folder = stranger.copy(tmp_path / "broken", day2_csv=broken(rows(stranger)))
    said, component = is_refused(folder)
    assert said.startswith(message)
    assert component == by


def everywhere(stranger, column: str, text: str) -> dict[str, str]:
    """Both files with that text in a column of every row."""
    changed = {}
    for day in ("day1", "day2"):
        header, *lines = (stranger.folder / f"{day}.csv").read_text().splitlines()
        changed[f"{day}_csv"] = "\n".join([header, *map(field(COLUMNS[column], text), lines), ""])
    return changed


def test_labels_all_of_one_class(stranger, is_refused, tmp_path):
    said, component = is_refused(stranger.copy(tmp_path / "happy", **everywhere(stranger, "stars", "5")))
    for split, line in zip(("train", "eval", "test"), said.splitlines(), strict=True):
        assert line.startswith(
            f"day1.csv: stars: expected labels of both classes in the {split} split, received 1 in all"
        )
    assert component == "ExampleGen"


def test_a_flood_of_nan(stranger, is_refused, tmp_path):
    header, *lines = rows(stranger)
    flooded = "\n".join([header, *lines[:9], *map(field(COLUMNS["price"], "NaN"), lines[9:]), ""])
    said, component = is_refused(stranger.copy(tmp_path / "flood", day1_csv=None, day2_csv=flooded))
    assert re.match(
        r"day2\.csv: line 11: price: expected a value in at least 50% of the rows of the train split, "
        r"received none in 6\d\d of 6\d\d \(first here\); mend the data, add the column to 'ignore' or raise "
        r"features\.price\.max_missing",
        said,
    )
    assert component == "ExampleGen"


PARQUET = """
name: stranger
label: {column: stars, positive: ">= 4"}
ranking: {group: user, item: movie}
ignore: [title, tags]
"""


def test_parquet_with_other_columns(stranger, is_refused, tmp_path):
    table = pd.read_csv(io.StringIO((stranger.folder / "day1.csv").read_text()))
    files = {}
    for name, content in (("day1", table), ("day2", table.rename(columns={"price": "cost"}))):
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pandas(content, preserve_index=False), buffer)
        files[f"{name}_parquet"] = buffer.getvalue()
    folder = stranger.copy(tmp_path / "parquet", PARQUET, day1_csv=None, day2_csv=None, **files)

    said, component = is_refused(folder)
    assert said == (
        "day2.parquet: expected a column 'price', received the columns user, movie, title, tags, cost, stars; add it "
        "to 'ignore' if it is no longer there"
    )
    assert component == "ExampleGen"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"day1_csv": None, "day2_csv": None}, "features.yaml: source.files: expected data files"),
        ({"day1_csv": "", "day2_csv": "user,movie\n"}, "day1.csv, day2.csv: expected rows, received none"),
        ({"day1_csv": "user,movie\nu1,1\n", "day2_csv": None},
         "features.yaml: label.column: expected a column of the data (user, movie), received 'stars'"),
    ],
    ids=["no file", "empty", "other columns"],
)  # fmt: skip
def test_a_first_file_that_is_broken(stranger, is_refused, tmp_path, changed, message):
    """The columns are told before any component runs."""
    said, component = is_refused(stranger.copy(tmp_path / "broken", **changed))
    assert said.startswith(message)
    assert component is None


SCHEMA = """
feature { name: "user" type: BYTES presence { min_fraction: 1 } }
feature { name: "movie" type: INT int_domain { min: 0 max: 19 } }
feature { name: "title" type: BYTES }
feature { name: "tags" type: BYTES string_domain { value: "drama" value: "war" } }
feature { name: "price" type: FLOAT float_domain { min: 0 max: 6 } }
feature { name: "_label" type: FLOAT }
"""


def test_data_that_breaks_its_schema(stranger, is_refused, tmp_path):
    """Movies go up to 29, and there are comedies."""
    said, component = is_refused(stranger.copy(tmp_path / "strict", schema_pbtxt=SCHEMA))
    first, *lines, last = said.splitlines()

    assert first == "the data does not follow its schema:"
    assert last == "Mend the data, or change schema.pbtxt if the data is right."
    assert [line.split(": ")[0].strip() for line in lines] == [
        f"{split} split, {column}" for split in ("train", "eval", "test") for column in ("movie", "tags")
    ]
    assert all("comedy" in line for line in lines if "tags" in line)
    assert component == "ExampleValidator"


def test_a_schema_that_is_none(stranger, is_refused, tmp_path):
    said, component = is_refused(stranger.copy(tmp_path / "typo", schema_pbtxt="feature { nam: 'user' }"))
    assert said.startswith("schema.pbtxt: expected a TFMD schema in text format; line and column 1:11 : ")
    assert component is None
