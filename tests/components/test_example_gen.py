"""From a stranger's files to examples: nothing lost, nothing added, each row in one split."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tfx.components.util import examples_utils
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils

from components import example_gen
from components.example_gen import fingerprinted, read_summary
from components.properties import SPAN_NAME_PROPERTY
from schema.errors import DataError
from schema.latest import ITEMS_FILE

SPLITS = ("train", "eval", "test")

DESCRIPTION = """
label: {column: stars, positive: ">= 4"}
weight: w
ignore: [comment]
ranking: {group: user, item: item}
features:
  tags: {type: multivalent, separator: "|"}
source: {files: {train: train.csv, eval: eval.csv, test: test.csv}}
"""
HEADER = "stars,user,item,age,tags,w,comment\n"
TRAIN = HEADER + "5,ann,7,30,Drama|War,1,x\n3,bob,8,,,0.5,y\n4,,9,20.5,War,2,z\n"
EVAL = HEADER + "1,ann,7,31,War,1,x\n5,ann,8,31,War,1,\n"
TEST = HEADER + "1,zoë,7,31,War,1,x\n5,ann,8,31,War,1,\n"


@pytest.fixture(scope="module")
def given(tmp_path_factory, make_dataset, make_examples):
    folder = tmp_path_factory.mktemp("given")
    dataset = make_dataset(folder / "data", DESCRIPTION, {"train.csv": TRAIN, "eval.csv": EVAL, "test.csv": TEST})
    return make_examples(dataset, folder / "examples")


def test_examples_hold_what_the_spec_says(given, read_examples):
    assert read_examples(given, "train") == [
        {"user": ["ann"], "item": [7], "age": [30], "tags": ["Drama", "War"], "_label": [1], "_weight": [1]},
        {"user": ["bob"], "item": [8], "_label": [0], "_weight": [0.5]},
        {"item": [9], "age": [20.5], "tags": ["War"], "_label": [1], "_weight": [2]},
    ]
    assert read_examples(given, "test")[0]["user"] == ["zoë"]


def test_tfx_is_told_what_the_examples_are(given):
    assert artifact_utils.decode_split_names(given.split_names) == list(SPLITS)
    assert examples_utils.get_payload_format(given) == example_gen_pb2.FORMAT_TF_EXAMPLE


def test_examples_of_spans_say_which_is_the_last(make_dataset, make_examples, tmp_path):
    files = {f"{span}.csv": "y,n\n" + "".join(f"{row % 2},{row}\n" for row in range(90)) for span in (6, 7)}
    dataset = make_dataset(tmp_path / "data", "{label: y, source: {files: '{SPAN}.csv'}}", files)
    examples = make_examples(dataset, tmp_path / "examples", span=7, span_name="7")
    assert (examples.span, examples.get_string_custom_property(SPAN_NAME_PROPERTY)) == (7, "7")
    assert sum(counts["rows"] for counts in read_summary(examples.uri).values()) == 180


def test_summary_counts_rows_and_labels(given):
    assert read_summary(given.uri) == {
        "train": {"rows": 3, "labels": 2},
        "eval": {"rows": 2, "labels": 1},
        "test": {"rows": 2, "labels": 1},
    }


def test_items_are_noted_as_they_were_seen_last(given):
    """By order: of the files that are given by split, test comes last; item 9's only row has no user."""
    table = pq.read_table(os.path.join(given.uri, ITEMS_FILE))
    assert table.to_pylist() == [{"item": 7}, {"item": 8}]


def test_a_dataset_that_ranks_nothing_has_no_items(make_dataset, make_examples, tmp_path):
    dataset = make_dataset(tmp_path / "data", "{label: y, source: {files: {train: a.csv, eval: a.csv, test: a.csv}}}",
                           {"a.csv": "y,n\n1,1\n0,2\n"})  # fmt: skip
    assert not os.path.exists(os.path.join(make_examples(dataset, tmp_path / "examples").uri, ITEMS_FILE))


def test_an_empty_list_is_a_missing_one(make_dataset, make_examples, read_examples, tmp_path):
    tags = [["a", "b"], [], None, [None], ["c"]]
    table = pa.table({"y": [1, 0, 1, 1, 0], "tags": tags})
    dataset = make_dataset(tmp_path / "data", "{label: y, source: {files: {train: t.parquet, eval: t.parquet, "
                           "test: t.parquet}}}", {"t.parquet": table})  # fmt: skip
    rows = read_examples(make_examples(dataset, tmp_path / "examples"), "train")
    assert [row.get("tags") for row in rows] == [["a", "b"], None, None, None, ["c"]]


ROWS = 300


@pytest.fixture(scope="module")
def parquet(tmp_path_factory, make_dataset):
    """Rows of one number in two files of row groups of two."""
    table = pa.table({"y": [row % 2 for row in range(ROWS)], "n": list(range(ROWS))})
    half = ROWS // 2
    folder = tmp_path_factory.mktemp("parquet")
    files = {"a.parquet": table.slice(0, half), "b.parquet": table.slice(half)}
    return make_dataset(folder / "data", "label: y", files)


def rows_by_split(examples, read_examples) -> dict[str, list[float]]:
    return {split: [row["n"][0] for row in read_examples(examples, split)] for split in SPLITS}


def test_each_row_of_all_files_and_row_groups_is_in_one_split(parquet, make_examples, read_examples, tmp_path):
    found = rows_by_split(make_examples(parquet, tmp_path), read_examples)

    assert sorted(found["train"] + found["eval"] + found["test"]) == list(range(ROWS))
    # 80, 10 and 10 %, give or take four standard deviations of √(300 · 0.1 · 0.9) = 5.2.
    assert [len(found[split]) for split in SPLITS] == pytest.approx([240, 30, 30], abs=28)


def test_shards_are_limited_and_the_same_rows_are_in_the_same_splits_again(
    parquet, make_examples, read_examples, tmp_path, monkeypatch
):
    once = rows_by_split(make_examples(parquet, tmp_path / "once"), read_examples)
    monkeypatch.setattr(example_gen, "ROWS_PER_SHARD", 1)
    again = make_examples(parquet, tmp_path / "again")

    assert rows_by_split(again, read_examples) == once
    files = list(Path(artifact_utils.get_split_uri([again], "train")).iterdir())
    assert len(files) == len(once["train"])


def test_a_mistake_in_one_of_the_files_is_told_and_no_summary_written(make_dataset, make_examples, tmp_path):
    good, bad = "y,n\n1,1\n0,2\n", "y,n\n1,1\n0,two\n"
    dataset = make_dataset(tmp_path / "data", "{label: y, source: {files: '*.csv'}}", {"a.csv": good, "b.csv": bad})
    with pytest.raises(DataError, match=r"b\.csv: line 3: n: expected a number, received 'two'"):
        make_examples(dataset, tmp_path / "examples")
    assert not (tmp_path / "examples" / "summary.json").exists()


def test_labels_of_one_class_in_a_split_are_refused(make_dataset, make_examples, tmp_path):
    files = {"train.csv": TRAIN, "eval.csv": EVAL, "test.csv": HEADER + "1,ann,7,31,War,1,x\n"}
    dataset = make_dataset(tmp_path / "data", DESCRIPTION, files)
    with pytest.raises(DataError, match=r"test\.csv: stars: expected labels of both classes in the test split"):
        make_examples(dataset, tmp_path / "examples")


def test_fingerprint_changes_with_the_files_and_not_with_time(make_dataset, tmp_path):
    dataset = make_dataset(tmp_path / "data", "label: y", {"a.csv": "y,n\n1,1\n0,2\n"})
    before = fingerprinted(dataset)
    (path,) = json.loads(before)["files"]["all"]
    assert path == str(tmp_path / "data" / "a.csv")
    assert fingerprinted(dataset) == before

    times = Path(path).stat().st_atime_ns, Path(path).stat().st_mtime_ns
    Path(path).touch()
    assert fingerprinted(dataset) == before

    Path(path).write_text("y,n\n1,1\n0,3\n")  # as long as before
    os.utime(path, ns=times)
    assert fingerprinted(dataset) != before
