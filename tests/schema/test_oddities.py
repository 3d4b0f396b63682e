"""Oddities that only all rows show: times in two units, line breaks in tokens, columns that come late."""

import pickle

import pytest
import tensorflow as tf

from schema.checks import Checks
from schema.dataset import find
from schema.errors import DataError
from schema.splits import read_splits, time_boundaries

SECONDS = 1_709_251_200


def checked(folder) -> Checks:
    """The checks of all rows, each batch as if by another worker."""
    dataset = find(folder)
    files = [path for paths in dataset.files.values() for path in paths]
    checks = Checks(dataset.spec)
    for split, rows, path in read_splits(dataset, time_boundaries(files, dataset.spec), checks.add_unknown):
        one = Checks(dataset.spec)
        one.add(split, rows, path)
        checks.merge(pickle.loads(pickle.dumps(one)))  # noqa: S301 (as it travels between workers)
    return checks


def log(first: int, step: int, rows: int = 40) -> str:
    return "y,t,a\n" + "".join(f"{row % 2},{first + row * step},x\n" for row in range(rows))


def test_seconds_in_one_file_and_milliseconds_in_the_next(make_folder):
    files = {"a.csv": log(SECONDS, 60), "b.csv": log(SECONDS * 1000, 60_000)}
    folder = make_folder("{label: y, splits: {by: time, column: t}}", files)

    with pytest.raises(DataError) as caught:
        checked(folder).verify()

    assert str(caught.value) == (
        f"{folder}/b.csv: line 41: t: expected seconds since 1970, as 1709253540 in {folder}/a.csv, received "
        "1709253540000, milliseconds since 1970; convert all to one unit"
    )


def test_boundaries_that_are_dates_of_a_column_of_milliseconds(make_folder):
    splits = "splits: {by: time, column: t, boundaries: [2024-03-01 00:20:00, 2024-03-01 00:30:00]}"
    folder = make_folder(f"label: y\n{splits}", {"a.csv": log(SECONDS * 1000, 60_000)})

    with pytest.raises(DataError) as caught:
        checked(folder).verify()

    assert str(caught.value) == (
        f"splits.boundaries: expected numbers like the column's, milliseconds since 1970 (1709253540000 in "
        f"{folder}/a.csv), received 1709252400, seconds since 1970, as dates are; say boundaries: [1709252400000, "
        "1709253000000]"
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (log(20240301, 1, 20), log(SECONDS, 60)),  # dates, then seconds
        (log(45352, 1), log(SECONDS, 60)),  # Excel's days
        (log(SECONDS, 60) + "1,-1,x\n", log(SECONDS * 1000, 60_000)),  # one mark of a missing time
        (log(SECONDS, 60) + f"1,{SECONDS * 1000},x\n", log(SECONDS, 60)),  # one row in one file
    ],
)
def test_other_units_beside_each_other(make_folder, one, other):
    folder = make_folder("{label: y, splits: {by: time, column: t}}", {"a.csv": one, "b.csv": other})

    with pytest.raises(DataError, match=r"[ab]\.csv: line \d+: t: expected .*, received .*; convert all to one unit"):
        checked(folder).verify()


def test_dates_as_numbers_beside_boundaries_that_are_dates(make_folder):
    splits = "splits: {by: time, column: t, boundaries: [2024-03-10, '2024-03-20']}"
    folder = make_folder(f"label: y\n{splits}", {"a.csv": log(20240301, 1, 31)})

    with pytest.raises(DataError, match=r"say boundaries: \[20240310, 20240320\]$"):
        checked(folder).verify()


def test_marks_of_missing_times_are_told(make_folder):
    folder = make_folder("{label: y, splits: {by: time, column: t}}", {"a.csv": log(SECONDS, 60) + "1,-1,x\n0,-1,x\n"})

    (remark,) = checked(folder).remarks()
    assert remark.startswith(f"{folder}/a.csv: t: the earliest time is -1; if that stands for a missing one")


@pytest.mark.parametrize("text", [log(SECONDS, 60), log(1, 1), log(SECONDS * 1000, 60_000)])
def test_one_unit_is_fine(make_folder, text):
    checks = checked(make_folder("{label: y, splits: {by: time, column: t}}", {"a.csv": text}))

    checks.verify()
    assert not checks.remarks()


def test_line_breaks_in_tokens_are_told(make_folder):
    rows = "".join(f'{row % 2},"a\nb",{row}\n{1 - row % 2},c,{row}\n' for row in range(60))
    checks = checked(make_folder("label: y", {"a.csv": f"y,title,n\n{rows}"}))

    checks.verify()
    assert checks.remarks() == [
        "title: 60 values have line breaks in them, which no vocabulary holds: each counts as unknown"
    ]


def test_numbers_that_float32_cannot_tell_apart(make_folder):
    text = "y,at\n" + "".join(f"{row % 2},{SECONDS * 1000 + row * 60_000}\n" for row in range(300))
    checks = checked(make_folder("label: y", {"a.csv": text}))

    checks.verify()
    (remark,) = checks.remarks()
    assert remark.startswith("at: expected numbers that 32 bits can tell apart, received 300 from")


def test_a_column_that_comes_late_in_a_tf_record_file(make_folder):
    def example(**values: int) -> bytes:
        features = {
            name: tf.train.Feature(int64_list=tf.train.Int64List(value=[value])) for name, value in values.items()
        }
        return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()

    folder = make_folder("label: y", {})
    with tf.io.TFRecordWriter(str(folder / "a.tfrecord")) as writer:
        for row in range(1 << 14):
            writer.write(example(y=row % 2, n=row))
        writer.write(example(y=1, n=1, late=5))

    assert checked(folder).remarks() == [
        f"{folder}/a.tfrecord has the column 'late', which no row of the samples had; it is not used"
    ]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ((0, 0), "received 0 in all of its"),
        ((0, 1), "for rows of both labels, received 0 in all rows with the label 0"),
        ((1, 0), "for rows of both labels, received 0 in all rows with the label 1"),
    ],
)
def test_weights_that_count_for_nothing(make_folder, weights, message):
    rows = "".join(f"{row % 2},{weights[row % 2]},{row}\n" for row in range(200))
    folder = make_folder("{label: y, weight: w}", {"a.csv": f"y,w,n\n{rows}"})

    with pytest.raises(DataError) as caught:
        checked(folder).verify()

    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert all(f"a.csv: w: expected weights above 0 in the {name} split" in line
               for name, line in zip(("train", "eval", "test"), lines, strict=True))  # fmt: skip
    assert all(message in line for line in lines)
