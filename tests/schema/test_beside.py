"""Files beside a dataset's, and rows that are read twice: both are reported."""

import pytest

from schema.dataset import find

ROWS = "y,a\n1,2\n0,3\n"


@pytest.mark.parametrize(
    ("source", "others"),
    [
        ("", ["b.csv.zip", "c.csv.bz2", "d.jsonl", "e.xlsx"]),
        ("", [".b.csv", "_c.csv"]),
        ("", ["more/b.csv"]),
        ("files: '*.csv'", ["B.CSV"]),
        ("files: a.csv", ["b.csv"]),
        ("files: '{SPAN}.csv'", ["x2.csv", "2.csv.bz2"]),
        ("files: '{YYYY}-{MM}-{DD}.csv'", ["2024-02-30.csv", "2024-3-2.csv"]),
    ],
)
def test_files_that_are_not_read_are_told(make_folder, source, others):
    first = {"files: '{SPAN}.csv'": "1.csv", "files: '{YYYY}-{MM}-{DD}.csv'": "2024-03-01.csv"}.get(source, "a.csv")
    beside = dict.fromkeys(["_SUCCESS", ".part-0.crc", "notes.md", *others], "z,a\n1,2\n")
    folder = make_folder(f"label: y\nsource: {{{source}}}", {first: ROWS, **beside})

    (remark,) = find(folder).remarks
    assert remark == f"not read: {', '.join(sorted(others))}; see source.files if they hold rows of this dataset"


def test_nothing_is_told_of_a_folder_with_data_alone(make_folder):
    folder = make_folder("label: y", {"a.csv": ROWS, "b.csv": ROWS + "1,4\n", "run.yaml": "{}", "schema.pbtxt": ""})

    assert find(folder).remarks == []


def test_equal_files_are_told(make_folder):
    folder = make_folder("label: y", {"a.csv": ROWS, "a - Copy.csv": ROWS, "b.csv": ROWS.replace("3", "4")})

    (remark,) = find(folder).remarks
    assert remark.endswith("a.csv have equal contents, so that their rows count repeatedly")
    assert "a - Copy.csv" in remark


def test_a_file_in_two_splits_is_told(make_folder):
    files = {"a.csv": ROWS, "b.csv": ROWS + "1,4\n"}
    folder = make_folder("{label: y, source: {files: {train: '*.csv', test: b.csv}}}", files)

    (remark,) = find(folder).remarks
    assert remark.endswith("b.csv is in train, test, so that the same rows train and judge the model")


def test_partitions_in_names_of_folders_are_told(make_folder):
    folder = make_folder("{label: y, source: {files: data}}",
                         {"data/country=US/a.csv": ROWS, "data/country=DE/b.csv": ROWS + "1,4\n"})  # fmt: skip

    (remark,) = find(folder).remarks
    assert remark.startswith("folders such as country=DE, country=US are not columns")
