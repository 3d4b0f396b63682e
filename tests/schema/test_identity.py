"""A row stays in its split whatever is added beside, before or after it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from schema.dataset import find
from schema.identity import identities, shares
from schema.lists import as_lists
from schema.reader import read
from schema.rows import NULL_VALUES
from schema.splits import read_splits

ROWS = 600
RANKING = "ranking: {group: user_id, item: item_id}"
KEY = "splits: {key: [user_id, item_id, at]}"


def table(rows: int = ROWS) -> pa.Table:
    """Rows of which `n` tells them apart."""
    random = np.random.default_rng(0)
    return pa.table(
        {
            "n": pa.array(np.arange(rows)),
            "user_id": pa.array(random.integers(0, 40, rows)),
            "item_id": pa.array([f"i{number}" for number in random.integers(0, 100, rows)]),
            "at": pa.array(random.integers(0, 10**9, rows)),
            "y": pa.array(random.integers(0, 2, rows)),
        }
    )


def written(folder: Path, rows: pa.Table, name: str = "a.csv") -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        pa_csv.write_csv(rows, path)
    elif path.suffix == ".parquet":
        pq.write_table(rows, path, row_group_size=100)
    else:
        (batch,) = rows.combine_chunks().to_batches()
        with tf.io.TFRecordWriter(str(path)) as writer:
            for example in RecordBatchToExamplesEncoder().encode(as_lists(batch)):
                writer.write(example)


def splits_of(folder: Path, description: str) -> dict[int, str]:
    """In which split each row is."""
    folder.mkdir(exist_ok=True)
    (folder / "features.yaml").write_text("label: y\nfeatures: {n: {type: numeric}}\n" + description)
    found = {int(number): split for split, rows, _ in read_splits(find(folder)) for number in rows["n"].to_pylist()}
    assert set(found.values()) == {"train", "eval", "test"}
    return found


@pytest.mark.parametrize("description", ["", RANKING, KEY, "splits: {key: user_id}"])
@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.tfrecord"])
def test_columns_make_no_difference(tmp_path, description, name):
    written(tmp_path / "one", table(), name)
    before = splits_of(tmp_path / "one", description)

    more = table().append_column("noise", pa.array(np.random.default_rng(1).choice(["a", "b"], ROWS)))
    written(tmp_path / "other", more, name)
    assert splits_of(tmp_path / "other", description) == before
    assert splits_of(tmp_path / "other", f"{description}\nignore: [noise]") == before
    as_texts = "columns: {user_id: string, noise: string}" + ("" if "at" in description else "\nignore: [at]")
    assert splits_of(tmp_path / "other", f"{description}\n{as_texts}") == before


@pytest.mark.parametrize("description", ["", RANKING])
@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.tfrecord"])
def test_what_is_appended_makes_no_difference(tmp_path, description, name):
    written(tmp_path / "one", table(), name)
    before = splits_of(tmp_path / "one", description)

    longer = table(ROWS)
    added = table(2 * ROWS).slice(ROWS)
    written(tmp_path / "other", pa.concat_tables([longer, added]), name)
    written(tmp_path / "other", added.set_column(0, "n", pa.array(np.arange(ROWS) + 5000)), f"0{name}")
    after = splits_of(tmp_path / "other", description)
    assert {number: after[number] for number in before} == before


def test_with_a_key_neither_order_nor_files_nor_formats_make_a_difference(tmp_path):
    written(tmp_path / "one", table())
    for description in (RANKING, KEY):
        before = splits_of(tmp_path / "one", description)

        order = np.random.default_rng(2).permutation(ROWS)
        shuffled = table().take(pa.array(order))
        floats = shuffled.set_column(1, "user_id", shuffled["user_id"].cast(pa.float64()))
        for place, name in enumerate(("b.parquet", "c/d.parquet")):
            written(tmp_path / "other", floats.slice(place * 200, 200 if place == 0 else ROWS), name)
        source = "source: {files: '**/*.parquet'}"
        assert splits_of(tmp_path / "other", f"{description}\n{source}") == before


def test_a_folder_that_moved_makes_no_difference(tmp_path):
    written(tmp_path / "one" / "data", table())
    before = splits_of(tmp_path / "one", "source: {files: data}")

    (tmp_path / "one").rename(tmp_path / "other")
    assert splits_of(tmp_path / "other", "source: {files: data}") == before


def test_exact_duplicates_stay_together_where_a_key_is_known(tmp_path):
    rows = table(100)
    again = rows.set_column(0, "n", pa.array(np.arange(100) + 100))
    written(tmp_path / "one", pa.concat_tables([rows, again]))

    found = splits_of(tmp_path / "one", RANKING)

    assert all(found[number] == found[number + 100] for number in range(100))


def test_rows_without_a_key_are_known_by_their_places():
    users = pa.array([None] * 1000)
    found = shares(identities({"user": users}, "a.csv", 0, 1000, NULL_VALUES))

    assert len(np.unique(found)) == 1000
    assert np.array_equal(found, shares(identities({}, "a.csv", 0, 1000, NULL_VALUES)))


@pytest.mark.parametrize(
    "array",
    [
        pa.array([5, None]),
        pa.array([5.0, None]),
        pa.array([5, None], pa.uint8()),
        pa.array(["5", "NA"]),
        pa.array([" 5.0 ", ""]),
        pa.array([b"5", None]),
        pa.array(["5", None]).dictionary_encode(),
        pa.array([[5], []]),
        pa.array([["5"], None]),
    ],
)
def test_a_value_is_the_same_however_it_is_stored(array):
    expected = identities({"k": pa.array(["5", None])}, "a", 0, 2, NULL_VALUES)

    assert identities({"k": array}, "a", 0, 2, NULL_VALUES) == expected


def test_parts_of_a_file_have_the_identities_of_the_whole(tmp_path):
    written(tmp_path, table(), "a.parquet")
    (tmp_path / "features.yaml").write_text("label: y\n")
    spec = find(tmp_path).spec

    whole = [row for batch in read(tmp_path / "a.parquet", spec, called="a") for row in batch["_row"].to_pylist()]
    parts = [
        row
        for part in range(6)
        for batch in read(tmp_path / "a.parquet", spec, part=part, called="a")
        for row in batch["_row"].to_pylist()
    ]

    assert parts == whole
    assert len(set(whole)) == ROWS


def test_identities_are_the_same_in_every_process():
    code = (
        "import pyarrow as pa; from schema.identity import identities;"
        "print(identities({'a': pa.array(['ann', None]), 'b': pa.array([1.5, 2])}, 'x', 7, 2, ('',)).to_pylist())"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env={"PYTHONHASHSEED": "123"},
    ).stdout

    here = identities({"a": pa.array(["ann", None]), "b": pa.array([1.5, 2])}, "x", 7, 2, ("",))
    assert printed.strip() == str(here.to_pylist())


def test_values_that_change_columns_are_another_identity():
    one, other = (
        identities({"a": pa.array([first]), "b": pa.array([second])}, "a", 0, 1, NULL_VALUES)
        for first, second in (("x", "y"), ("y", "x"))
    )
    assert one != other


def test_shares_are_uniform():
    found = shares(identities({"id": pa.array(range(10_000))}, "a", 0, 10_000, NULL_VALUES))
    counts, _ = np.histogram(found, bins=10, range=(0, 1))

    # Chi-squared with 9 degrees of freedom exceeds 27.9 once in a thousand times.
    assert ((counts - 1000) ** 2 / 1000).sum() < 27.9


@pytest.mark.parametrize(
    ("one", "other", "times"),
    [
        (["True", "false"], [True, False], ()),
        (["1e-07", "0.5"], [1e-7, 0.5], ()),
        (["1.50", "2.0"], [1.5, 2.0], ()),
        (["2024-03-01", "2024-03-01 00:00:01"], [1_709_251_200, 1_709_251_201], ("k",)),
    ],
)
def test_texts_are_known_as_the_values_that_they_say(one, other, times):
    typed = pa.array(other, pa.timestamp("s")) if times else pa.array(other)
    found = [identities({"k": array}, "a", 0, 2, NULL_VALUES, times) for array in (pa.array(one), typed)]

    assert found[0] == found[1]
