"""Data in spans: the spans that exist, those that are read, and those that are missing."""

from __future__ import annotations

import datetime

import pytest

from schema.dataset import find
from schema.errors import DataError, SpecError
from schema.spans import matches

TEXT = "y,a\n1,2\n"


def days(number: int) -> int:
    """Since 1970, worked by hand: 2026-03-01 is the 20,513th day after it."""
    return 20_513 + number - 1


def test_a_date_is_the_number_of_days_since_1970():
    assert days(1) == (datetime.date(2026, 3, 1) - datetime.date(1970, 1, 1)).days


@pytest.fixture
def march(make_folder):
    """March 2026, of which the third day is missing."""
    names = [f"clicks-2026-03-0{day}.csv" for day in (1, 2, 4, 5)]
    return make_folder("{label: y, source: {files: 'clicks-{YYYY}-{MM}-{DD}.csv'}}", dict.fromkeys(names, TEXT))


def names(dataset) -> list[str]:
    return [str(path.relative_to(dataset.folder)) for path in dataset.files["all"]]


def test_all_spans_where_none_is_asked_for(march):
    dataset = find(march)
    assert dataset.window == tuple(map(days, (1, 2, 4, 5)))
    assert names(dataset) == [f"clicks-2026-03-0{day}.csv" for day in (1, 2, 4, 5)]
    assert (dataset.spans.dated, dataset.spans.name(dataset.spans.latest)) == (True, "2026-03-05")


@pytest.mark.parametrize(
    ("span", "window", "read"),
    [
        ("latest", 1, [5]),
        ("latest", 2, [4, 5]),
        ("latest", 4, [2, 4, 5]),  # of the four days from the second on
        ("latest", 99, [1, 2, 4, 5]),
        ("2026-03-02", 1, [2]),
        ("2026-03-04", 3, [2, 4]),
    ],
)
def test_the_spans_up_to_one(march, span, window, read):
    dataset = find(march, span, window)
    assert dataset.window == tuple(map(days, read))
    assert names(dataset) == [f"clicks-2026-03-0{day}.csv" for day in read]


def test_one_span_of_them(march):
    dataset = find(march, "latest", 3)
    assert names(dataset.of_span(days(1))) == ["clicks-2026-03-01.csv"]


def test_what_is_missing_is_between_spans_that_are_there(march):
    spans = find(march).spans
    assert spans.names(spans.missing(days(1), days(5))) == ["2026-03-03"]
    assert spans.missing(days(-30), days(2)) == []  # what was before the first is not missing
    assert spans.missing(days(4), days(5)) == []
    assert spans.summary() == "4 spans from 2026-03-01 to 2026-03-05; 1 missing between: 2026-03-03"


def test_the_span_before_is_the_last_that_is_there(march):
    spans = find(march).spans
    assert [spans.before(days(day)) for day in (5, 4, 1)] == [days(4), days(2), None]


@pytest.mark.parametrize(
    ("span", "error", "message"),
    [
        ("2026-03-03", DataError, r"features\.yaml: source\.files: expected files of span 2026-03-03, found none; "
         "there are 2026-03-01, 2026-03-02, 2026-03-04, 2026-03-05"),
        ("3", SpecError, "span: expected a date such as 2026-11-27, or latest, received '3'"),
        ("2026-02-30", SpecError, "span: expected a date such as 2026-11-27, or latest, received '2026-02-30'"),
    ],
)  # fmt: skip
def test_a_span_that_is_not_there(march, span, error, message):
    with pytest.raises(error, match=message):
        find(march, span)


@pytest.mark.parametrize(
    ("pattern", "files", "found"),
    [
        ("{SPAN}.csv", ["1.csv", "02.csv", "x.csv", "3.txt"], {1: ["1.csv"], 2: ["02.csv"]}),
        ("day-{SPAN}", ["day-7/a.csv", "day-7/b.csv", "day-8/a.csv"], {7: ["day-7"], 8: ["day-8"]}),
        ("{SPAN}/*.csv", ["7/a.csv", "7/b.txt"], {7: ["7/*.csv"]}),
        ("*-{SPAN}.csv", ["a-1.csv", "b-1.csv", "a-2-3.csv"], {1: ["a-1.csv", "b-1.csv"], 3: ["a-2-3.csv"]}),
        ("{YYYY}/{MM}/{YYYY}-{MM}-{DD}.csv", ["2026/03/2026-03-01.csv", "2026/03/2026-04-01.csv"],
         {20_513: ["2026/03/2026-03-01.csv"]}),
        ("{YYYY}{MM}{DD}.csv", ["20260301.csv", "20260230.csv", "2026031.csv"], {20_513: ["20260301.csv"]}),
        ("**/{SPAN}.csv", ["a/b/4.csv", "5.csv"], {4: ["a/b/4.csv"], 5: ["5.csv"]}),
    ],
)  # fmt: skip
def test_placeholders_in_paths(tmp_path, pattern, files, found):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert matches(pattern, tmp_path) == found
    assert matches(str(tmp_path / pattern), tmp_path) == {
        span: [str(tmp_path / name) for name in names] for span, names in found.items()
    }


def test_files_of_numbered_spans_in_folders(make_folder):
    files = ["logs/07/b.csv", "logs/07/a.csv", "logs/07/_SUCCESS", "logs/8/a.csv", "logs/9/_SUCCESS"]
    dataset = find(make_folder("{label: y, source: {files: 'logs/{SPAN}'}}", dict.fromkeys(files, TEXT)), "latest", 3)
    # The ninth has no files yet.
    assert dataset.spans.names(dataset.window) == ["7", "8"]
    assert names(dataset) == ["logs/07/a.csv", "logs/07/b.csv", "logs/8/a.csv"]
    with pytest.raises(SpecError, match="span: expected a whole number, or latest, received '2026-03-01'"):
        find(dataset.folder, "2026-03-01")


def test_a_span_has_files_of_every_split(make_folder):
    files = ["1/train.csv", "1/test.csv", "2/train.csv", "3/train.csv", "3/test.csv"]
    given = "{label: y, source: {files: {train: '{SPAN}/train.csv', test: '{SPAN}/test.csv'}}}"
    dataset = find(make_folder(given, dict.fromkeys(files, TEXT)))
    assert dataset.spans.names(dataset.window) == ["1", "3"]
    assert {split: [path.parent.name for path in paths] for split, paths in dataset.files.items()} == {
        "train": ["1", "3"],
        "test": ["1", "3"],
    }


def test_no_spans_at_all(make_folder):
    folder = make_folder("{label: y, source: {files: 'x-{SPAN}.csv'}}", {"a.csv": TEXT})
    with pytest.raises(DataError, match=r"expected files of at least one span, received 'x-\{SPAN\}\.csv' in .*"):
        find(folder)


def test_columns_are_those_of_the_spans_that_are_read(make_folder):
    folder = make_folder("{label: y, source: {files: '{SPAN}.csv'}}", {"1.csv": TEXT, "2.csv": "y,a,b\n1,2,x\n"})
    assert set(find(folder, "1").spec.columns) == {"a"}
    assert set(find(folder, "latest").spec.columns) == {"a", "b"}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ("'{YYYY}-{MM}.csv'", r"expected {SPAN}, or {YYYY}, {MM} and {DD}, or no placeholders, received {MM}, {YYYY}"),
        ("'{SPAN}-{YYYY}{MM}{DD}.csv'", r"received {DD}, {MM}, {SPAN}, {YYYY}"),
        ("'{DAY}.csv'", r"received {DAY}"),
        ("{train: '{SPAN}.csv', test: test.csv}", r"expected the same placeholders in all paths, received {SPAN}\.csv, "
         r"test\.csv"),
    ],
)  # fmt: skip
def test_mistakes_in_placeholders(make_folder, files, message):
    with pytest.raises(SpecError, match=r"features\.yaml: source\.files: .*" + message):
        find(make_folder(f"{{label: y, source: {{files: {files}}}}}", {"a.csv": TEXT}))
