"""Problems that only a whole split shows: no rows, one class, a column that is nearly always missing."""

import pickle
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schema.checks import Checks
from schema.dataset import find
from schema.errors import DataError
from schema.feature_spec import FeatureSpec
from schema.reader import read
from schema.splits import split

BY_FILE = "{label: y, source: {files: {train: 0.csv, eval: 1.csv, test: 2.csv}}, features: {a: {max_missing: 0.5}}}"
GOOD = "y,a,b\n1,x,1\n0,,2\n1,x,3\n"


def checked(folder: Path) -> list[Checks]:
    """What was counted in each file, as if by several workers."""
    dataset = find(folder)
    found = []
    for name, paths in dataset.files.items():
        for path in paths:
            checks = Checks(dataset.spec)
            for batch in read(path, dataset.spec, called=path.name):
                for part, rows in split(batch, dataset.spec, None if name == "all" else name).items():
                    checks.add(part, rows, path)
            found.append(pickle.loads(pickle.dumps(checks)))  # noqa: S301 (as it travels between workers)
    return found


def complaints(folder: Path, first: int = 0) -> list[str]:
    """The lines of the error; those of all orders of merging are the same."""
    parts = checked(folder)
    merged = parts[first]
    for index, part in enumerate(parts):
        if index != first:
            merged = merged.merge(part)
    with pytest.raises(DataError) as caught:
        merged.verify()
    return str(caught.value).replace(f"{folder}/", "").splitlines()


def test_good_splits_and_their_summary(make_folder):
    first, second, third = checked(make_folder(BY_FILE, {"0.csv": GOOD, "1.csv": GOOD, "2.csv": GOOD}))
    merged = first.merge(second).merge(third)

    merged.verify()
    assert merged.summary() == {name: {"rows": 3, "labels": 2} for name in ("train", "eval", "test")}


@pytest.mark.parametrize("first", [0, 1, 2])
def test_every_problem_is_a_line(make_folder, first):
    one_class = "y,a,b\n0,x,1\n0,x,2\n"
    flood = "y,a,b\n1,x,1\n0,,2\n1,NA,3\n"
    folder = make_folder(BY_FILE, {"0.csv": GOOD, "1.csv": one_class, "2.csv": flood})

    assert complaints(folder, first) == [
        "1.csv: y: expected labels of both classes in the eval split, received 0 in all of its 2 rows; "
        "check which values are positive (1); y holds '0' in 2 rows",
        "2.csv: line 3: a: expected a value in at least 50% of the rows of the test split, received none in 2 of 3 "
        "(first here); mend the data, add the column to 'ignore' or raise features.a.max_missing",
    ]


def test_all_positive(make_folder):
    description = "{label: {column: y, positive: '>= 0'}, source: {files: {train: 0.csv, eval: 1.csv, test: 2.csv}}}"
    folder = make_folder(description, dict.fromkeys(["0.csv", "1.csv", "2.csv"], GOOD))

    assert complaints(folder)[0] == (
        "0.csv: y: expected labels of both classes in the train split, received 1 in all of its 3 rows; "
        "check which values are positive (>= 0); y holds '1' in 2 rows, '0' in 1 row"
    )


@pytest.mark.parametrize(
    ("kind", "held"),
    [
        (pa.string(), "'1' in 3 rows"), (pa.binary(), "'1' in 3 rows"), (pa.int64(), "1 in 3 rows"),
        (pa.bool_(), "True in 3 rows"), (pa.list_(pa.int64()), "1 in 3 rows"),
        (pa.dictionary(pa.int8(), pa.string()), "'1' in 3 rows"),
    ],
    ids=str,
)  # fmt: skip
def test_what_the_column_of_a_label_holds_is_told(tmp_path, kind, held):
    """At most five values, the most frequent first."""
    value = {pa.binary(): b"1", pa.int64(): 1, pa.bool_(): True, pa.list_(pa.int64()): [1]}.get(kind, "1")
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"y": pa.array([value] * 3).cast(kind), "x": ["a", "b", "c"]}), path)
    spec = FeatureSpec.model_validate({"label": "y", "columns": {"x": "string"}, "features": {"x": {}}})
    checks = Checks(spec)
    checks.add("train", next(read(path, spec)), path)
    with pytest.raises(DataError, match=re.escape(f"positive (1); y holds {held}\n")):
        checks.verify()


def test_an_empty_split(make_folder):
    folder = make_folder("{label: y, splits: {key: k}}", {"a.csv": "y,k\n1,a\n0,a\n"})

    lines = complaints(folder)
    assert len(lines) == 2  # all rows have the same key, so that two of three splits are empty
    assert all(
        line.endswith(
            "split: expected rows, received none; rows that are alike in k stay together, so say splits.key with "
            "columns of more different values, or add more data"
        )
        for line in lines
    )


def test_empty_lists_are_missing_values(make_folder):
    import pyarrow as pa

    table = pa.table({"y": [1, 0], "tags": pa.array([[], ["x"]]), "more": pa.array([None, [1]])})
    description = (
        "{label: y, source: {files: {train: 0.parquet, eval: 1.parquet, test: 2.parquet}}, "
        "features: {tags: {type: multivalent, max_missing: 0.4}, more: {type: multivalent, max_missing: 0.4}}}"
    )
    folder = make_folder(description, dict.fromkeys(["0.parquet", "1.parquet", "2.parquet"], table))

    assert [line.split(": expected")[0] for line in complaints(folder)] == [
        f"{index}.parquet: row 1: {name}" for index in range(3) for name in ("more", "tags")
    ]
