"""The same values in files of every format, in every role: read alike, or refused in one sentence."""

import csv
import io
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from schema.dataset import Dataset, find
from schema.errors import DataError, SpecError
from schema.identity import called
from schema.reader import read

FORMATS = ("csv", "tsv.gz", "parquet", "tfrecord", "two csv", "two parquet", "two tfrecord")

Values = Sequence[Any]


def feature(value: Any) -> tf.train.Feature:
    values = value if isinstance(value, list) else [] if value is None else [value]
    if any(isinstance(each, str) for each in values):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[each.encode() for each in values]))
    if all(isinstance(each, int) for each in values):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def write(path: Path, columns: dict[str, Values], kind: str) -> None:
    """Rows as a file of that format. In CSV, lists are joined by bars."""
    if kind == "parquet":
        pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), path)
        return
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if kind == "tfrecord":
        with tf.io.TFRecordWriter(str(path)) as writer:
            for row in rows:
                features = {name: feature(value) for name, value in row.items() if value is not None}
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString())
        return
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t" if "tsv" in kind else ",")
    writer.writerow(columns)
    for row in rows:
        writer.writerow("|".join(value) if isinstance(value, list) else value for value in row.values())
    content = text.getvalue().encode()
    if kind.endswith(".gz"):
        import gzip

        content = gzip.compress(content)
    path.write_bytes(content)


def dataset_of(folder: Path, description: str, columns: dict[str, Values], kind: str) -> Dataset:
    """The rows in one file, or in two."""
    (folder / "features.yaml").write_text(description)
    if kind.startswith("two "):
        kind = kind.removeprefix("two ")
        half = len(next(iter(columns.values()))) // 2
        write(folder / f"0.{kind}", {name: values[:half] for name, values in columns.items()}, kind)
        write(folder / f"1.{kind}", {name: values[half:] for name, values in columns.items()}, kind)
    else:
        write(folder / f"0.{kind}", columns, kind)
    return find(folder)


def rows(dataset: Dataset, name: str) -> list[Any]:
    """All values of a column."""
    (paths,) = dataset.files.values()
    batches = [batch for path in paths for batch in read(path, dataset.spec, called=called(path, dataset.base))]
    return [value for batch in batches for value in batch[name].to_pylist()]


# What a column is given, in which role, and what examples then hold. Of each the first half is in one file, where there
# are two.
READ = {
    "label as numbers": ("label: v", "_label", [1, 0, 1, 0], [1, 0, 1, 0]),
    "label as texts": ("label: v", "_label", ["1", "0", "1", "0"], [1, 0, 1, 0]),
    "label as floats": ("label: v", "_label", [1.0, 0.0, 1.0, 0.0], [1, 0, 1, 0]),
    "label by a rule": ('label: {column: v, positive: ">= 4"}', "_label", ["5", "3", "4", "1.5"], [1, 0, 1, 0]),
    "label by a text": ("label: {column: v, positive: [None, yes]}", "_label", ["yes", "no", "None", "x"],
                        [1, 0, 1, 0]),
    "weight as numbers": ("{label: y, weight: v}", "_weight", [1, 2, 0, 1], [1, 2, 0, 1]),
    "weight as floats": ("{label: y, weight: v}", "_weight", [0.5, 2.0, 0.0, 1.0], [0.5, 2, 0, 1]),
    "weight as texts": ("{label: y, weight: v}", "_weight", ["0.5", "2", "0", "1"], [0.5, 2, 0, 1]),
    "numbers as texts": ("{label: y, columns: {v: float}}", "v", ["0.5", "", "NA", "7"], [0.5, None, None, 7]),
    "whole numbers as texts": ("{label: y, columns: {v: integer}, features: {v: categorical}}", "v",
                               ["5", r"\N", "6.0", "7"], [5, None, 6, 7]),
    "texts": ("label: y", "v", ["a", "", "<NA>", "b"], ["a", None, None, "b"]),
    "texts that look like numbers": ("{label: y, columns: {v: string}}", "v", ["02139", "1", "null", "x"],
                                     ["02139", "1", None, "x"]),
    "a mark of one's own": ("{label: y, source: {null_values: ['?']}, columns: {v: string}}", "v",
                            ["a", "?", "b", "NA"], ["a", None, "b", "NA"]),
    "numbers": ("label: y", "v", [1.5, 2.5, None, 4.5], [1.5, 2.5, None, 4.5]),
    "ids as floats": ("{label: y, ranking: {group: v, item: y2}}", "v", [5.0, None, 6.0, 7.0], [5, None, 6, 7]),
    "ids as integers": ("{label: y, ranking: {group: v, item: y2}}", "v", [5, None, 6, 7], [5, None, 6, 7]),
    "tokens in texts": ("{label: y, features: {v: {type: multivalent, separator: '|'}}}", "v",
                        ["a|b", "a", "", "b| c"], [["a", "b"], ["a"], None, ["b", "c"]]),
    "times as numbers": ("{label: y, splits: {by: time, column: v}}", "v", [10, 20, 30, 40], [10, 20, 30, 40]),
    "times as texts": ("{label: y, splits: {by: time, column: v}}", "v",
                       ["1970-01-01 00:00:10", "1970-01-01T00:00:20Z", "1970-01-01 00:00:30.5 UTC", "1970-01-02"],
                       [10, 20, 30, 86400]),
    "numbers as texts to split by": ("{label: y, columns: {v: integer}, splits: {by: time, column: v}}", "v",
                                     ["10", "20", "30", "40"], [10, 20, 30, 40]),
    "times as floats": ("{label: y, splits: {by: time, column: v}}", "_time",
                        [10.0, 20.0, 20.5, 40.0], [10, 20, 20.5, 40]),
    "truths": ("label: {column: v, positive: '== true'}", "_label", ["True", "false", "1", "0"], [1, 0, 1, 0]),
    "spaces": ("label: y", "v", ["a ", " a", "a", "b"], ["a", "a", "a", "b"]),
    "whole numbers to slice by": ("{label: y, slices: [v]}", "v", [3.0, None, 4.0, 3.0], [3, None, 4, 3]),
    "slices": ("{label: y, slices: [v]}", "v", ["a", "b", "a", "b"], ["a", "b", "a", "b"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("case", READ)
def test_values_are_read_alike(tmp_path, kind, case):
    description, name, values, expected = READ[case]
    columns = {"y": [1, 0, 1, 0], "y2": ["i", "j", "k", "l"], "v": values}

    found = rows(dataset_of(tmp_path, description, columns, kind), name)

    # A tf.Example cannot tell an empty list from none.
    assert [value or None if isinstance(value, list) else value for value in found] == expected


# The same for what is refused, with the place of the first bad value: its row counted from 0, and the file.
REFUSED = {
    "label that is missing": ("label: v", ["1", "", "1", "0"], 1, "v: expected a label in every row, received none"),
    "label of three values": ("label: v", ["1", "0", "2", "0"], 2, "v: expected 0 or 1 as the label, received '2'"),
    "weight below 0": ("{label: y, weight: v}", ["1", "-1", "1", "1"], 1,
                       "v: expected a weight of at least 0 in every row, received '-1'"),
    "weight that is missing": ("{label: y, weight: v}", ["1", "1", "NaN", "1"], 2,
                               "v: expected a weight of at least 0 in every row, received none"),
    "weight that is no number": ("{label: y, weight: v}", ["1", "1", "1", "a"], 3,
                                 "v: expected a number, received 'a'"),
    "weight beyond all measure": ("{label: y, weight: v}", ["1", "1", "3e38", "1"], 2,
                                  "v: expected a weight of at most"),
    "label in other letters": ("label: {column: v, positive: [yes]}", ["yes", "no", "Yes", "no"], 2,
                               "v: expected a label spelled as in label.positive ('yes'), received 'Yes'"),
    "label with a fraction": ("label: {column: v, positive: ['1']}", ["1", "0", "0", "1.0"], 3,
                              "v: expected a label spelled as in label.positive ('1'), received '1.0'"),
    "no truth": ("label: {column: v, positive: '== true'}", ["true", "false", "true", "maybe"], 3,
                 "v: expected true or false, since label.positive compares with one, received 'maybe'"),
    "a unit separator": ("label: y", ["a", "b\x1fc", "d", "e"], 1,
                         "v: expected text without the control character U+001F, received 'b\\x1fc'"),
    "no number": ("{label: y, features: {v: numeric}}", ["1", "2", "3", "unknown"], 3,
                  "v: expected a number, received 'unknown'; for texts say columns: {v: string}"),
    "an amount": ("{label: y, features: {v: numeric}}", ["1", "$5", "3", "4"], 1,
                  "v: expected a number, received '$5'"),
    "no whole number": ("{label: y, columns: {v: integer}, features: {v: categorical}}", ["1", "2.5", "3", "4"], 1,
                        "v: expected a whole number, received '2.5'"),
    "zeros that would be lost": ("{label: y, columns: {v: integer}, features: {v: categorical}}",
                                 ["1", "2", "3", "007"], 3,
                                 "v: expected a whole number, received '007'; a number would lose its zeros"),
    "no time to split by": ("{label: y, splits: {by: time, column: v}}", ["03/01/2024"] * 4, 0,
                            "v: expected a date or a time such as 2026-11-29 18:30:00"),
    "times of two forms": ("{label: y, splits: {by: time, column: v}}",
                           ["2024-03-01", "2024-03-02", "20240303", "20240304"], 2,
                           "v: expected a date or a time such as 2026-11-29 18:30:00"),
    "a time that is missing": ("{label: y, splits: {by: time, column: v}}",
                               ["2024-03-01", "", "2024-03-02", "2024-03-03"], 1,
                               "v: expected a time in every row, to split by, received none"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("case", REFUSED)
def test_values_are_refused_alike(tmp_path, kind, case):
    description, values, row, message = REFUSED[case]
    columns = {"y": [1, 0, 1, 0], "n": [1, 2, 3, 4], "v": values}

    with pytest.raises(DataError) as caught:
        rows(dataset_of(tmp_path, description, columns, kind), "_label")

    index, place = divmod(row, 2) if kind.startswith("two ") else (0, row)
    shown = f"line {place + 2}" if "sv" in kind else f"row {place + 1}"
    assert str(caught.value).startswith(f"{tmp_path}/{index}.{kind.split()[-1]}: {shown}: {message}")


@pytest.mark.parametrize("kind", FORMATS)
def test_seconds_as_floats(tmp_path, kind):
    times = [1709251719.0, 1709251720.0, 1709251721.5, 1709251722.0]
    columns = {"y": [1, 0, 1, 0], "n": [1, 2, 3, 4], "v": times}
    dataset = dataset_of(tmp_path, "{label: y, splits: {by: time, column: v}}", columns, kind)

    if "tfrecord" in kind:  # which holds 32 bits
        with pytest.raises(DataError, match=r"row 1: v: expected a time up to 2\^24, .*; store times as integers"):
            rows(dataset, "_time")
    else:
        assert rows(dataset, "_time") == times


def test_the_formats_differ_in_nothing_that_is_described(tmp_path):
    columns = {
        "clicked": ["1", "0", "1", "0"],
        "user_id": ["7", "8", "", "7"],
        "price": ["1.5", "NA", "2", "3"],
        "genres": [["a", "b"], ["a"], ["c"], ["b"]],
    }
    description = (
        "{label: clicked, columns: {user_id: integer, price: float}, splits: {key: user_id},"
        " features: {genres: {type: multivalent, separator: '|'}}}"
    )
    found = []
    for kind in FORMATS:
        (tmp_path / kind).mkdir()
        dataset = dataset_of(tmp_path / kind, description, columns, kind)
        spec = dataset.spec
        values = {name: rows(dataset, name) for name in (*spec.columns, "_label")}
        found.append((spec.features, spec.columns, spec.times, values))

    assert all(each == found[0] for each in found)


def arrow_types() -> dict[str, pa.Array]:
    """A column of each type that Arrow has, in which the first value is missing where it can be."""
    numbers = [None, 0, 1]
    found = {str(kind): pa.array(numbers, kind) for kind in (
        pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(), pa.float32(),
        pa.float64(), pa.date32(), pa.date64(), pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"),
        *(pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC", "Asia/Tokyo")),
        *(pa.duration(unit) for unit in ("s", "ms", "us", "ns")),
    )}  # fmt: skip
    found |= {
        str(kind): pa.array([None, Decimal(0), Decimal(1)], kind)
        for kind in (pa.decimal128(38, 0), pa.decimal128(5, 2), pa.decimal256(50, 10))
    }
    found |= {
        str(kind): pa.array([None, "0", "1"]).cast(pa.binary() if "binary" in str(kind) else pa.string()).cast(kind)
        for kind in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())
    }
    found |= {
        "half": pa.array(np.array([np.nan, 0, 1], np.float16)),
        "bool": pa.array([None, False, True]),
        "fixed-size binary": pa.array([None, b"0", b"1"], pa.binary(1)),
        "null": pa.nulls(3),
        "dictionary of texts": pa.array([None, "0", "1"]).dictionary_encode(),
        "dictionary of integers": pa.array(numbers).dictionary_encode(),
        "bool8": pa.ExtensionArray.from_storage(pa.bool8(), pa.array(numbers, pa.int8())),
        "uuid": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([None, b"0" * 16, b"1" * 16], pa.binary(16))),
        "list": pa.array([None, [0], [1, None]]),
        "large list": pa.array([None, [0], [1, None]], pa.large_list(pa.int64())),
        "fixed-size list": pa.array([None, [0, 1], [1, 0]], pa.list_(pa.int64(), 2)),
        "list of texts": pa.array([None, ["0"], ["1"]]),
        "list of floats": pa.array([None, [0.5], [1.5]]),
        "list of lists": pa.array([None, [[0]], [[1]]]),
        "struct": pa.array([None, {"a": 0}, {"a": 1}]),
        "map": pa.array([None, [("a", 0)], [("a", 1)]], pa.map_(pa.string(), pa.int64())),
        "fixed-shape tensor": pa.FixedShapeTensorArray.from_numpy_ndarray(np.zeros((3, 2, 2))),
    }
    return found


ARROW = arrow_types()
ROLES = {
    "label": "label: v",
    "number label": "label: {column: v, number: true}",
    "label by a rule": "label: {column: v, positive: '>= 1'}",
    "classes": "label: {column: v, classes: 2}",
    "weight": "{label: y, weight: v}",
    "feature": "label: y",
    "categorical": "{label: y, features: {v: categorical}}",
    "numeric": "{label: y, features: {v: numeric}}",
    "multivalent": "{label: y, features: {v: multivalent}}",
    "string": "{label: y, columns: {v: string}}",
    "integer": "{label: y, columns: {v: integer}}",
    "float": "{label: y, columns: {v: float}}",
    "group": "{label: y, ranking: {group: v, item: n}}",
    "time": "{label: y, splits: {by: time, column: v}}",
    "key": "{label: y, splits: {key: v}}",
    "slice": "{label: y, slices: [v]}",
    "ignored": "{label: y, ignore: [v]}",
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", ARROW)
def test_every_arrow_type_is_read_or_refused_in_a_sentence(tmp_path, kind, role):
    required = role in ("weight", "time") or "label" in role or role == "classes"
    values = ARROW[kind][1:] if required else ARROW[kind]
    table = pa.table({"y": [0, 1, 1][-len(values) :], "n": ["a", "b", "c"][-len(values) :], "v": values})
    (tmp_path / "features.yaml").write_text(ROLES[role])
    pq.write_table(table, tmp_path / "a.parquet")

    try:
        dataset = find(tmp_path)
        (batch,) = read(tmp_path / "a.parquet", dataset.spec, called="a.parquet")
    except (DataError, SpecError) as error:
        said = str(error)
        assert ("expected" in said, "v" in said, said.count("\n")) == (True, True, 0)
        return
    if "v" in dataset.spec.columns and not required:
        missing = batch["v"].is_null().to_pylist()
        assert missing == ([True] * 3 if kind == "null" else [kind != "fixed-shape tensor", False, False])


@pytest.mark.parametrize("kind", ARROW)
def test_what_holds_zero_and_one_is_read_as_such(tmp_path, kind):
    """Types that can hold numbers, as numbers and as ids."""
    if any(word in kind for word in ("list", "struct", "map", "tensor", "uuid", "null", "time", "date", "duration")):
        return
    (tmp_path / "features.yaml").write_text(
        "{label: y, columns: {f: float, i: integer, s: string}, features: {i: categorical}}"
    )
    values = ARROW[kind]
    pq.write_table(pa.table({"y": [0, 1, 1], "f": values, "i": values, "s": values}), tmp_path / "a.parquet")

    (batch,) = read(tmp_path / "a.parquet", find(tmp_path).spec)

    assert batch["f"].to_pylist() == [None, 0.0, 1.0]
    assert batch["i"].to_pylist() == [None, 0, 1]
    texts = batch["s"].to_pylist()
    assert texts[0] is None
    assert [float({"false": 0, "true": 1}.get(text, text)) for text in texts[1:]] == [0, 1]
