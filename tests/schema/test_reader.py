"""Reading a user's files, and the errors about those that are wrong."""

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schema.csv_file import _BLOCK_BYTES
from schema.dataset import find
from schema.errors import DataError, SpecError
from schema.feature_spec import FeatureSpec
from schema.raw_file import open_file
from schema.reader import arrow_schema, parts, read


def rows(folder: Path, **options) -> dict[str, list]:
    """All rows of a dataset, as columns."""
    dataset = find(folder)
    files = [path for paths in dataset.files.values() for path in paths]
    batches = [batch for path in files for batch in read(path, dataset.spec, **options)]
    assert all(batch.schema == arrow_schema(dataset.spec) for batch in batches)
    return pa.Table.from_batches(batches).to_pydict()


def complaint(folder: Path) -> str:
    """What is said of the files, with paths relative to the dataset's folder."""
    with pytest.raises((DataError, SpecError)) as caught:
        rows(folder)
    return str(caught.value).replace(f"{folder}/", "")


def tf_example(**features) -> bytes:
    def feature(values) -> tf.train.Feature:
        values = values if isinstance(values, list) else [values]
        if isinstance(values[0], str):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode() for value in values]))
        if isinstance(values[0], int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    filled = {name: feature(value) for name, value in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=filled)).SerializeToString()


def tf_records(examples: list[bytes], path: Path, compression: str = "") -> bytes:
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for example in examples:
            writer.write(example)
    return path.read_bytes()


FULL = """
label: {column: rating, positive: ">= 4"}
weight: w
ignore: [comment]
features:
  genres: {type: multivalent, separator: "|"}
  user: categorical
"""
CSV = """rating,user,age,zip,genres,seen,comment,w
5,7,30,02139,Drama|War,2020-01-01,"said ""no"",
twice",1
3, 8 ,,10001,,2020-01-02 00:00:10,fine,0.5
4,9,NA,10002,War,,fine,2
"""
EXPECTED = {
    "genres": [["Drama", "War"], None, ["War"]],
    "user": [7, 8, 9],
    "age": [30.0, None, None],
    "zip": ["02139", "10001", "10002"],
    "seen": [1577836800.0, 1577923200.0, None],  # 10 s are less than a float32 of this size can tell
    "_label": [1.0, 0.0, 1.0],
    "_weight": [1.0, 0.5, 2.0],
}


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.tsv", "bom.csv", "dos.csv"])
def test_csv(make_folder, name):
    content = CSV.encode()
    if name.endswith(".gz"):
        content = gzip.compress(content)
    if ".tsv" in name:
        content = content.replace(b",", b"\t")
    if name == "bom.csv":
        content = b"\xef\xbb\xbf" + content
    if name == "dos.csv":
        content = content.replace(b"\n", b"\r\n")
    assert rows(make_folder(FULL, {name: content})) == EXPECTED


def test_csv_without_a_header(make_folder):
    description = """
    label: y
    source: {header: false, column_names: [y, a, b], delimiter: ";", null_values: ["?"]}
    """
    folder = make_folder(description, {"a.csv": "1;2;x\n0;?;\n"})

    assert rows(folder) == {"a": [2.0, None], "b": ["x", ""], "_label": [1.0, 0.0]}


def test_a_folder_of_parquet_files_is_read_by_row_group(tmp_path, make_folder):
    folder = make_folder("{label: y, source: {files: parts}}", {})
    (folder / "parts" / "day=1").mkdir(parents=True)
    table = pa.table(
        {
            "y": [1, 0, 1, 1, 0],
            "a": pa.array([1, 2, 3, None, 5], pa.int16()),
            "tags": [["x"], [], None, ["y", "z"], ["x"]],
        }
    )
    pq.write_table(table, folder / "parts" / "b.parquet", row_group_size=2)
    pq.write_table(table.slice(0, 1), folder / "parts" / "day=1" / "a.parquet")
    (folder / "parts" / "_SUCCESS").touch()

    dataset = find(folder)
    first, second = dataset.files["all"]
    assert (first.name, second.name) == ("b.parquet", "a.parquet")
    assert (parts(first, dataset.spec), parts(second, dataset.spec)) == (3, 1)
    whole = pa.Table.from_batches(read(first, dataset.spec))
    assert whole.to_pydict() == {
        "a": [1.0, 2.0, 3.0, None, 5.0],
        "tags": [["x"], [], None, ["y", "z"], ["x"]],
        "_label": [1.0, 0.0, 1.0, 1.0, 0.0],
    }
    groups = [batch for part in range(3) for batch in read(first, dataset.spec, part=part)]
    assert [len(batch) for batch in groups] == [2, 2, 1]
    assert pa.Table.from_batches(groups) == whole


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_tf_records(make_folder, tmp_path, compression):
    examples = [
        tf_example(y=1, user="ann", tags=["a", "b"], price=1.5),
        tf_example(y=0, user="bob", tags=["c"]),
        tf_example(y=1, tags=["d"], price=float("nan")),
    ]
    name = "a.tfrecord.gz" if compression else "a.tfrecord"
    folder = make_folder("label: y", {name: tf_records(examples, tmp_path / "written", compression)})

    assert rows(folder) == {
        "price": [1.5, None, None],
        "tags": [["a", "b"], ["c"], ["d"]],
        "user": ["ann", "bob", None],
        "_label": [1.0, 0.0, 1.0],
    }


def test_a_column_that_no_example_of_a_tf_record_file_has_is_missing_in_all(make_folder, tmp_path):
    first = tf_records([tf_example(y=1, a="x", b=2)], tmp_path / "written")
    second = tf_records([tf_example(y=0, a="z")], tmp_path / "written")
    folder = make_folder("{label: y, source: {files: '*.tfrecord'}}", {"0.tfrecord": first, "1.tfrecord": second})

    assert rows(folder) == {"a": ["x", "z"], "b": [2.0, None], "_label": [1.0, 0.0]}


def test_one_column_alone(make_folder):
    assert rows_of_seen(
        make_folder("{label: y, splits: {by: time, column: t}}", {"a.csv": "y,t,a\n1,5,1\n0,3,2\n"})
    ) == {"t": [5, 3]}


def rows_of_seen(folder: Path) -> dict[str, list]:
    dataset = find(folder)
    return pa.Table.from_batches(read(dataset.files["all"][0], dataset.spec, only=["t"])).to_pydict()


def test_batches_are_bounded_and_lines_are_counted_through_all_of_them(make_folder):
    line = "0,{:>40}\n"
    count = 3 * _BLOCK_BYTES // len(line.format(0))
    text = "y,a\n" + "".join(line.format(row) for row in range(count))
    folder = make_folder("{label: y, features: {a: categorical}}", {"a.csv": text})
    dataset = find(folder)

    batches = list(read(dataset.files["all"][0], dataset.spec))

    assert len(batches) >= 3
    assert [value for batch in batches for value in batch["a"].to_pylist()] == list(range(count))

    (folder / "a.csv").write_text(text + "\n\n0,x\n", encoding="utf-8")
    assert complaint(folder) == (
        f"a.csv: line {count + 4}: a: expected a whole number, received 'x'; "  # a header and two blank lines
        "for decimals say columns: {a: float}, for texts columns: {a: string}"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.csv: expected rows, received none"),
        ("\n\n", "a.csv: expected rows, received none"),
        ("y,a\n", "a.csv: expected rows, received none"),
        ("y,a,a\n1,2,3\n", "a.csv: line 1: expected each column once, received 'a' twice"),
        ("y,a\n1,2\n0\n", "a.csv: line 3: expected 2 fields, received 1"),
        ("y,a\n1,2\n\n0,1,2\n", "a.csv: line 4: expected 2 fields, received 3"),
        ('y,a\n1,"two\nlines"\n0\n', "a.csv: line 4: expected 2 fields, received 1"),
        ('y,a\n1,"2\n0,1\n', "a.csv: line 2: a: expected a closing quote, received none"),
        ("y,a\n1,caf\xe9\n".encode("latin-1"),
         "a.csv: line 2: a: expected UTF-8 text, received byte 0xe9 at offset 9 of the file; save the file as UTF-8"),
        ("y,caf\xe9\n1,2\n".encode("latin-1"),
         "a.csv: line 1: expected UTF-8 text, received byte 0xe9 at offset 5 of the file; save the file as UTF-8"),
        ("y,a\n1,2\n".encode("utf-16"),
         "a.csv: expected text in UTF-8, received text in UTF-16; save the file as UTF-8"),
        ("y,a\n1,2\n,3\n", "a.csv: line 3: y: expected a label in every row, received none"),
        ("y,a\n1,2\n2,3\n",
         "a.csv: line 3: y: expected 0 or 1 as the label, received '2'; say which values are positive, such as "
         "label: {column: y, positive: …}"),
        ("x,a\n1,2\n",
         "features.yaml: label.column: expected a column of the data (x, a), received 'y'"),
    ],
)  # fmt: skip
def test_bad_csv_files(make_folder, text, message):
    assert complaint(make_folder("label: y", {"a.csv": text})).startswith(message)


@pytest.mark.parametrize(
    ("description", "text", "message"),
    [
        ("{label: y, columns: {a: float}}", "y,a\n1,2\n0,abc\n",
         "a.csv: line 3: a: expected a number, received 'abc'; for texts say columns: {a: string}"),
        ("{label: y, columns: {a: integer}, features: {a: categorical}}", "y,a\n1,2\n0,2.5\n",
         "a.csv: line 3: a: expected a whole number, received '2.5'; for decimals say columns: {a: float}, for texts "
         "columns: {a: string}"),
        ("{label: {column: y, positive: '>= 4'}}", "y,a\n5,2\ngood,2\n",
         "a.csv: line 3: y: expected a number, since label.positive (>= 4) compares with one, received 'good'; quote "
         "the value in the rule to compare texts"),
        ("{label: y, weight: a}", "y,a,b\n1,2,3\n0,-1,3\n",
         "a.csv: line 3: a: expected a weight of at least 0 in every row, received '-1'"),
        ("{label: y, weight: a}", "y,a,b\n1,,3\n0,1,3\n",
         "a.csv: line 2: a: expected a weight of at least 0 in every row, received none"),
        ("{label: y, splits: {by: time, column: a}}", "y,a,b\n1,2,3\n0,,3\n",
         "a.csv: line 3: a: expected a time in every row, to split by, received none"),
        ("{label: y, source: {header: false, column_names: [y, a, b]}}", "1,2\n0,3\n",
         "a.csv: line 1: expected 3 fields, received 2"),
        ("{label: y, features: {a: {type: multivalent, separator: '|'}}}", "y,a\n1,2\n0,3\n",
         "features.yaml: features.a: expected a column of strings to split at the separator, received integer"),
    ],
)  # fmt: skip
def test_csv_files_that_contradict_the_spec(make_folder, description, text, message):
    assert complaint(make_folder(description, {"a.csv": text})) == message


def test_zip_codes_that_only_later_begin_with_a_zero(make_folder):
    filler = "0,10001\n" * (2 * _BLOCK_BYTES // 8)
    folder = make_folder("{label: y, features: {zip: categorical}}", {"a.csv": f"y,zip\n{filler}1,02139\n"})

    assert complaint(folder) == (
        f"a.csv: line {2 + 2 * _BLOCK_BYTES // 8}: zip: expected a whole number, received '02139'; "
        "a number would lose its zeros: say columns: {zip: string}"
    )


def test_a_later_file_without_one_of_the_columns(make_folder):
    folder = make_folder("label: y", {"a.csv": "y,age\n1,2\n", "b.csv": "y,agee\n1,2\n"})
    assert complaint(folder) == (
        "b.csv: expected a column 'age', received the columns y, agee; did you mean 'agee'?; add it to 'ignore' if "
        "it is no longer there"
    )


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pa.table({"y": [1], "agee": [3]}),
         "b.parquet: expected a column 'age', received the columns y, agee; did you mean 'agee'?"),
        (pa.table({"y": [1, 0], "age": ["3", "abc"]}),
         "b.parquet: row 2: age: expected a number, received 'abc'; for texts say columns: {age: string}"),
        (pa.table({"y": [1, 0], "age": [[3], [4, 5]]}),
         "b.parquet: row 2: age: expected one value, received [4, 5]; for several say columns: {age: integers}"),
        (pa.table({"y": [1, None], "age": [3, 4]}),
         "b.parquet: row 2: y: expected a label in every row, received none"),
        (pa.table({"y": ["yes", "no"], "age": [3, 4]}),
         "b.parquet: row 1: y: expected 0 or 1 as the label, received 'yes'; say which values are positive, such as "
         "label: {column: y, positive: …}"),
        (pa.table({"y": [1], "age": [{"years": 3}]}),
         "b.parquet: age: expected texts, numbers or lists of these, received struct<years: int64>; add the column to "
         "'ignore'"),
        (b"PAR1 is not all that it takes", "b.parquet: expected a Parquet file, received something else: "),
        (b"", "b.parquet: expected a Parquet file, received something else: "),
    ],
)  # fmt: skip
def test_bad_parquet_files(make_folder, table, message):
    good = pa.table({"y": [1], "age": [3]})
    folder = make_folder("label: y", {"a.parquet": good, "b.parquet": table})

    assert complaint(folder).startswith(message)


def test_rows_of_a_row_group_are_counted_from_the_files_beginning(make_folder):
    folder = make_folder("{label: y, columns: {a: float}}", {})
    pq.write_table(pa.table({"y": [1, 0, 1, 0], "a": ["1", "2", "3", "x"]}), folder / "a.parquet", row_group_size=2)
    dataset = find(folder)

    with pytest.raises(DataError, match=r"a\.parquet: row 4: a: expected a number, received 'x'"):
        list(read(folder / "a.parquet", dataset.spec, part=1))


def test_a_parquet_column_of_which_no_feature_is_made(make_folder):
    table = pa.table({"y": [1], "age": [3], "meta": [{"a": 1}]})
    folder = make_folder("label: y", {"a.parquet": table})

    assert complaint(folder) == (
        "a.parquet: meta: expected texts, numbers or lists of these, received struct<a: int64>; "
        "add the column to 'ignore'"
    )
    (folder / "features.yaml").write_text("{label: y, ignore: [meta]}", encoding="utf-8")
    assert rows(folder) == {"age": [3.0], "_label": [1.0]}


def test_bad_tf_record_files(make_folder, tmp_path):
    examples = [tf_example(y=number % 2, a=number) for number in range(5)]
    whole = tf_records(examples, tmp_path / "written")
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1  # in the third of five records of equal length
    mixed = tf_records([*examples, tf_example(y=1, a="text")], tmp_path / "written")
    foreign = tf_records([*examples, b"\xff\xff\xff"], tmp_path / "written")
    damaged = "expected a TFRecord, received one that is cut off or damaged"
    cases = [
        (b"", "a.tfrecord: expected rows, received none"),
        (whole[:-2], f"a.tfrecord: row 5: {damaged}"),
        (whole[: len(whole) * 3 // 5 + 5], f"a.tfrecord: row 4: {damaged}"),
        (bytes(flipped), f"a.tfrecord: row 3: {damaged}"),
        (b"y,a\n1,2\n0,3\n1,3\n", f"a.tfrecord: row 1: {damaged}; is the file a TFRecord file at all?"),
        (mixed, "a.tfrecord: row 6: expected features of the same types as in the rows before, "
                "received a (large_binary), y (int64)"),
        (foreign, "a.tfrecord: row 6: expected a serialized tf.Example, received 3 bytes that are none"),
    ]  # fmt: skip
    folder = make_folder("label: y", {})
    for content, message in cases:
        (folder / "a.tfrecord").write_bytes(content)
        assert complaint(folder) == message
    (folder / "a.tfrecord").unlink()
    (folder / "a.tfrecord.gz").write_bytes(gzip.compress(whole)[:-20])
    assert complaint(folder).startswith(f"a.tfrecord.gz: row 4: {damaged}")


def test_a_file_of_unknown_format(make_folder):
    spec = FeatureSpec.model_validate({"label": "y"})
    path = make_folder("label: y", {"data.xls": "?"}) / "data.xls"

    with pytest.raises(
        DataError, match=r"data\.xls: expected a name that ends in one of \.csv, .*, received 'data\.xls'"
    ):
        open_file(path, spec.source)


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"]), max_size=8)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 1), st.none() | _TEXT, st.none() | st.integers(-99, 99)), min_size=1))
def test_csv_and_parquet_of_the_same_rows_read_alike(tmp_path, values):
    import csv

    nulls = {"", "NA", "N/A", "NaN", "nan", "NULL", "null"}
    values = [(y, None if a in nulls else a, b) for y, a, b in values]
    names = ["y", "a", "b"]
    spec = FeatureSpec.model_validate({"label": "y"}).resolve({"y": "integer", "a": "string", "b": "integer"})
    with (tmp_path / "a.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *values])
    types = pa.schema([("y", pa.int64()), ("a", pa.string()), ("b", pa.int64())])
    pq.write_table(
        pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in values], types), tmp_path / "a.parquet"
    )

    one, other = (pa.Table.from_batches(read(tmp_path / name, spec)) for name in ("a.csv", "a.parquet"))

    assert one.to_pydict() == other.to_pydict()
