"""Whether a model has seen rows of a later test split is told from what was recorded with it."""

import pytest

from schema.feature_spec import FeatureSpec
from schema.split_record import SplitRecord, overlap, record

BY_KEY = SplitRecord(by="random", columns=("u",), train_end=0.8, test_start=0.9)
BY_PLACE = SplitRecord(by="random", train_end=0.8, test_start=0.9, files={"a.csv": "1", "b.csv": "2"})
BY_TIME = SplitRecord(by="time", columns=("t",), train_end=100, test_start=200)
GIVEN = SplitRecord(by="given", files={"train.csv": "1"}, test_files={"test.csv": "2"})


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
        (BY_PLACE, BY_PLACE.model_copy(update={"files": {"a.csv": "1", "c.csv": "3"}}), None),
        (BY_PLACE, BY_PLACE.model_copy(update={"files": {"a.csv": "9", "b.csv": "2"}}),
         "rows of a.csv may have changed places since, by which they are split"),
        (BY_TIME, BY_TIME.model_copy(update={"train_end": 150, "test_start": 250}), None),
        (BY_TIME, BY_TIME.model_copy(update={"train_end": 50, "test_start": 99}),
         "its train split ends at 100, and the test split begins at 99"),
        (BY_TIME, BY_KEY, "it was trained with splits by time (t), now they are by random (u)"),
        (GIVEN, GIVEN, None),
        (GIVEN, GIVEN.model_copy(update={"test_files": {"moved.csv": "1"}}),
         "it was trained on moved.csv, now a test file"),
        (None, BY_KEY, "nothing is recorded of the splits that it was trained with"),
        (BY_KEY, None, None),
    ],
)  # fmt: skip
def test_overlaps(then, now, why):
    assert overlap(then, now) == why


@pytest.mark.parametrize(
    ("description", "columns"),
    [({}, ()), ({"splits": {"key": ["u", "i"]}}, ("u", "i")), ({"ranking": {"group": "u", "item": "i"}}, ("u", "i"))],
)
def test_files_that_grow_are_the_same_and_others_are_not(tmp_path, description, columns):
    spec = FeatureSpec.model_validate({"label": "y", **description}).resolve(
        {"y": "integer", "u": "integer", "i": "integer"}
    )
    path = tmp_path / "a.csv"
    path.write_text("y,u,i\n" + "1,2,3\n" * 20_000)
    before = record(spec, {"a.csv": path}, {}, None)
    assert before.columns == columns

    with path.open("a") as file:
        file.write("0,1,2\n")
    assert overlap(before, record(spec, {"a.csv": path}, {}, None)) is None

    path.write_text("y,u,i\n0,1,2\n" + "1,2,3\n" * 20_000)
    changed = overlap(before, record(spec, {"a.csv": path}, {}, None))
    assert bool(changed) == (columns == ())


def test_what_is_recorded_is_read_again():
    for each in (BY_KEY, BY_PLACE, BY_TIME, GIVEN):
        assert SplitRecord.model_validate_json(each.model_dump_json()) == each
