"""Whether a model has seen rows of a later test split, from the record beside the model."""

import itertools
import pickle

import numpy as np
import pyarrow as pa
import pytest

from schema.feature_spec import FeatureSpec
from schema.split_record import Signature, Signatures, SplitRecord, overlap, record

BY_KEY = SplitRecord(by="random", columns=("u",), train_end=0.8, test_start=0.9)
ONE, OTHER, LONGER = (
    Signature(rows=rows, block=64, sums=sums) for rows, sums in ((100, (1, 2)), (100, (1, 3)), (130, (1, 4, 5)))
)
BY_PLACE = SplitRecord(by="random", train_end=0.8, test_start=0.9, files={"a.csv": ONE, "b.csv": OTHER})
BY_TIME = SplitRecord(by="time", columns=("t",), train_end=100, test_start=200)
GIVEN = SplitRecord(by="given", files={"train.csv": ONE}, test_files=("test.csv",))


@pytest.mark.parametrize(
    ("then", "now", "why"),
    [
        (BY_KEY, BY_KEY, None),
        (BY_KEY, BY_KEY.model_copy(update={"test_start": 0.8}), None),
        (BY_KEY, BY_KEY.model_copy(update={"test_start": 0.7}),
         "its train split ends at 0.8, and the test split begins at 0.7"),
        (BY_KEY, BY_KEY.model_copy(update={"columns": ("i",)}),
         "it was trained with splits by random (u), now they are by random (i)"),
        (BY_KEY, BY_PLACE, "it was trained with splits by random (u), now they are by random"),
        (BY_PLACE, BY_PLACE, None),
        (BY_PLACE, BY_PLACE.model_copy(update={"files": {"a.csv": ONE, "b.csv": OTHER, "c.csv": ONE}}), None),
        (BY_PLACE, BY_PLACE.model_copy(update={"files": {"a.csv": LONGER, "b.csv": OTHER}}), None),
        (BY_PLACE, BY_PLACE.model_copy(update={"files": {"a.csv": OTHER, "b.csv": OTHER}}),
         "rows of a.csv have moved since, or have other labels"),
        (BY_PLACE.model_copy(update={"files": {"a.csv": LONGER}}), BY_PLACE,
         "rows of a.csv have moved since, or have other labels"),
        (BY_PLACE, BY_PLACE.model_copy(update={"files": {"a.csv": ONE, "c.csv": OTHER}}),
         "b.csv no longer exists, and its rows may be in other files"),
        (BY_PLACE, BY_PLACE.model_copy(update={"files": {"b.csv": OTHER}, "come_and_go": True}),
         "a.csv no longer exists, and its rows may be in other files"),
        (BY_PLACE.model_copy(update={"come_and_go": True}), BY_PLACE.model_copy(update={"files": {"b.csv": OTHER}}),
         None),
        (BY_KEY, BY_KEY.model_copy(update={"null_values": ("", "?")}),
         "other values of the key count as missing now"),
        (BY_TIME.model_copy(update={"train_end": 1.7e9}),
         BY_TIME.model_copy(update={"train_end": 1.6e12, "test_start": 1.65e12}),
         "the times that rows are split by are in another unit now"),
        (BY_TIME, BY_TIME.model_copy(update={"train_end": 150, "test_start": 250}), None),
        (BY_TIME, BY_TIME.model_copy(update={"train_end": 50, "test_start": 99}),
         "its train split ends at 100, and the test split begins at 99"),
        (BY_TIME, BY_KEY, "it was trained with splits by time (t), now they are by random (u)"),
        (GIVEN, GIVEN, None),
        (GIVEN, GIVEN.model_copy(update={"files": {}, "test_files": ("train.csv",)}),
         "it was trained on train.csv, now a test file"),
        (GIVEN, GIVEN.model_copy(update={"files": {"train.csv": OTHER}}),
         "rows of train.csv have moved since, or have other labels"),
        (None, BY_KEY, "nothing is recorded of the splits that it was trained with"),
        (BY_KEY, None, None),
    ],
)  # fmt: skip
def test_overlaps(then, now, why):
    assert overlap(then, now) == why


def signature(labels: np.ndarray, parts: int = 1) -> Signature:
    """Of one file, as if read by several workers in any order."""
    merged = Signatures()
    starts = np.linspace(0, len(labels), parts + 1).astype(int)
    for first, end in reversed(list(itertools.pairwise(starts))):
        one = Signatures()
        one.add("a", int(first), pa.array(labels[first:end].astype(np.float32)))
        merged.merge(pickle.loads(pickle.dumps(one)))  # noqa: S301 (as it travels between workers)
    return merged.result()["a"]


@pytest.mark.parametrize("rows", [1, 63, 64, 65, 300, 5_000, 300_000])
def test_a_file_begins_like_itself_and_like_what_it_was_before_it_grew(rows):
    labels = np.random.default_rng(0).integers(0, 2, rows + 1000)
    then = signature(labels[:rows])

    assert signature(labels[:rows], parts=3) == then
    assert len(then.sums) <= 4096
    for more in (0, 1, 64, 1000):
        assert signature(labels[: rows + more]).begins_like(then)


@pytest.mark.parametrize("rows", [300, 5_000, 300_000])
def test_a_file_whose_rows_moved_is_another(rows):
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, rows)
    then = signature(labels)

    assert not signature(labels[:-1]).begins_like(then)
    assert not signature(np.delete(labels, rows // 2)).begins_like(then)
    assert not signature(np.append(np.delete(labels, rows // 2), [0, 1, 0])).begins_like(then)
    assert not signature(random.permutation(labels)).begins_like(then)
    assert not signature(1 - labels).begins_like(then)


def test_as_many_files_as_there_are_share_the_room():
    many = Signatures()
    for number in range(500):
        many.add(str(number), 0, pa.array(np.zeros(10_000, np.float32)))

    assert sum(len(each.sums) for each in many.result().values()) <= 4096


@pytest.mark.parametrize(
    ("description", "columns"),
    [({}, ()), ({"splits": {"key": ["u", "i"]}}, ("u", "i")), ({"ranking": {"group": "u", "item": "i"}}, ("u", "i"))],
)
def test_files_are_recorded_where_places_decide(description, columns):
    spec = FeatureSpec.model_validate({"label": "y", **description}).resolve(
        {"y": "integer", "u": "integer", "i": "integer"}
    )

    found = record(spec, {"a.csv": ONE}, {}, False, None)

    assert found.columns == columns
    assert found.files == ({} if columns else {"a.csv": ONE})


def test_what_is_recorded_is_read_again():
    for each in (BY_KEY, BY_PLACE, BY_TIME, GIVEN):
        assert SplitRecord.model_validate_json(each.model_dump_json()) == each
