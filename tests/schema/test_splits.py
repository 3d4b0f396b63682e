"""Every row is in exactly one split, always the same, and no later split holds an earlier row."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.errors import DataError
from schema.feature_spec import FeatureSpec
from schema.identity import ROW, TIME, identities
from schema.reader import read
from schema.rows import NULL_VALUES
from schema.splits import _SORTED_AT_ONCE, _count, _cut, split, time_boundaries

COLUMNS = {"y": "integer", "user": "integer", "name": "string", "tags": "strings", "t": "integer"}


def spec_with(splits: dict) -> FeatureSpec:
    return FeatureSpec.model_validate({"label": "y", "splits": splits}).resolve(COLUMNS)


def batch_of(rows: int, key: str = "") -> pa.RecordBatch:
    """Rows that are known by a column, or by their places."""
    random = np.random.default_rng(0)
    users = pa.array(random.integers(0, 500, rows))
    return pa.record_batch(
        {
            ROW: identities({key: users} if key else {}, "a.csv", 0, rows, NULL_VALUES),
            "user": users,
            "name": pa.array([f"n{number}" if number else None for number in random.integers(0, 50, rows)]),
            "tags": pa.array([["a"] * number for number in random.integers(0, 4, rows)]),
            "t": pa.array(random.integers(0, 10_000, rows)),
            "row": pa.array(np.arange(rows)),
        }
    )


def test_random_fractions_are_met_and_no_row_is_lost():
    batch = batch_of(20_000)
    spec = spec_with({"fractions": {"train": 0.7, "eval": 0.2, "test": 0.1}})

    found = split(batch, spec)

    # Standard deviation of a share of n = 20,000 rows: at most sqrt(0.21 / n) = 0.0032. Four of them:
    for name, fraction in spec.splits.fractions.items():
        assert len(found[name]) / len(batch) == pytest.approx(fraction, abs=0.013)
    rows = [row for part in found.values() for row in part["row"].to_pylist()]
    assert sorted(rows) == list(range(len(batch)))
    assert all(part["row"].to_pylist() == sorted(part["row"].to_pylist()) for part in found.values())


def test_rows_with_the_same_key_stay_together():
    found = split(batch_of(5_000, key="user"), spec_with({"key": "user"}))

    users = {name: set(part["user"].to_pylist()) for name, part in found.items()}
    assert len(users["train"] | users["eval"] | users["test"]) == sum(map(len, users.values()))
    assert len(users["train"]) == pytest.approx(400, abs=36)  # 500 users, four standard deviations of 9


def files_of(folder: Path, times: list[int], count: int) -> tuple[list[Path], FeatureSpec]:
    spec = FeatureSpec.model_validate({"label": "y", "splits": {"by": "time", "column": "t"}})
    paths = []
    for index, part in enumerate(np.array_split(np.array(times), count)):
        paths.append(folder / f"{index}.parquet")
        pq.write_table(pa.table({"y": [1] * len(part), "t": pa.array(part), "a": ["x"] * len(part)}), paths[-1])
    return paths, spec.resolve({"y": "integer", "t": "integer", "a": "string"})


def test_no_row_of_a_later_split_is_earlier(tmp_path):
    times = np.random.default_rng(0).integers(0, 400, 10_000).tolist()
    files, spec = files_of(tmp_path, times, 3)
    boundaries = time_boundaries(files, spec)

    found: dict[str, list[int]] = {"train": [], "eval": [], "test": []}
    for path in files:
        for batch in read(path, spec, called=path.name):
            for name, part in split(batch, spec, boundaries=boundaries).items():
                found[name] += part["t"].to_pylist()

    assert max(found["train"]) < min(found["eval"])
    assert max(found["eval"]) < min(found["test"])
    assert (min(found["eval"]), min(found["test"])) == boundaries
    assert sorted(found["train"] + found["eval"] + found["test"]) == sorted(times)
    # One time holds about 1/400 of the rows: no share can be further off than that.
    assert len(found["train"]) / len(times) == pytest.approx(0.8, abs=0.004)
    assert len(found["eval"]) / len(times) == pytest.approx(0.1, abs=0.004)


def test_times_are_counted_over_many_batches():
    random = np.random.default_rng(0)
    arrays = [random.integers(0, 1000, _SORTED_AT_ONCE // 3).astype(float) for _ in range(7)]

    values, counts = _count(iter(arrays))

    expected = np.unique(np.concatenate(arrays), return_counts=True)
    assert np.array_equal(values, expected[0])
    assert np.array_equal(counts, expected[1])


def test_boundaries_by_hand():
    # Times 1..10, one row each: eight before 9, nine before 10.
    assert _cut(np.arange(1.0, 11), np.ones(10, np.int64), 0.8, 0.9) == (9.0, 10.0)
    # 90 of 100 rows at one time: that time is train alone, and eval and test get what is left.
    assert _cut(np.array([1.0, 2, 3]), np.array([90, 5, 5]), 0.8, 0.9) == (2.0, 3.0)
    # 98 rows at the last time: it can only be test.
    assert _cut(np.array([1.0, 2, 3]), np.array([1, 1, 98]), 0.8, 0.9) == (2.0, 3.0)


@settings(deadline=None)
@given(st.lists(st.integers(1, 100), min_size=3, max_size=30))
def test_no_split_by_time_is_empty(counts):
    times = np.arange(len(counts), dtype=float)

    first_eval, first_test = _cut(times, np.array(counts), 0.8, 0.9)

    assert times[0] < first_eval < first_test <= times[-1]


def test_too_few_times(tmp_path):
    files, spec = files_of(tmp_path, [5, 5, 6], 1)
    with pytest.raises(DataError, match="t: expected at least three different times to split by, received 2"):
        time_boundaries(files, spec)


def test_boundaries_that_the_spec_names_need_no_files():
    spec = spec_with({"by": "time", "column": "t", "boundaries": [100, 200]})
    batch = pa.record_batch({"t": pa.array([200, 99, 100, 199]), TIME: pa.array([200.0, 99, 100, 199])})

    found = split(batch, spec, boundaries=time_boundaries([], spec))

    assert {name: part["t"].to_pylist() for name, part in found.items()} == {
        "train": [99],
        "eval": [100, 199],
        "test": [200],
    }


def given_spec(files: dict[str, str]) -> FeatureSpec:
    return FeatureSpec.model_validate({"label": "y", "source": {"files": files}}).resolve(COLUMNS)


def test_given_splits_keep_their_files():
    batch = batch_of(1_000)
    spec = given_spec({"train": "a", "eval": "b", "test": "c"})

    rows = batch.select([name for name in batch.schema.names if name != ROW])
    assert split(batch, spec, "train") == {"train": rows}
    assert split(batch, spec, "test") == {"test": rows}


def test_given_splits_without_eval_files_take_it_from_train():
    batch = batch_of(5_000)
    spec = given_spec({"train": "a", "test": "c"})

    found = split(batch, spec, "train")

    assert set(found) == {"train", "eval"}
    assert len(found["eval"]) == pytest.approx(500, abs=85)  # four standard deviations of 21
    assert len(found["train"]) + len(found["eval"]) == 5_000
    assert set(split(batch, spec, "test")) == {"test"}


def test_other_splits_have_no_time_boundaries():
    assert time_boundaries([], spec_with({})) is None
    with pytest.raises(ValueError, match="expected the boundaries"):
        split(batch_of(1), spec_with({"by": "time", "column": "t"}))
    with pytest.raises(ValueError, match="expected the split of the file"):
        split(batch_of(1), given_spec({"train": "a", "test": "c"}))
