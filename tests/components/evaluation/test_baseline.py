import json

import pytest
from tfx.types import standard_artifacts

from components.evaluation.baseline import misfits
from components.properties import SPLITS_PROPERTY
from components.trainer import COLUMNS_PROPERTY
from schema.feature_spec import FeatureSpec
from schema.split_record import SplitRecord

COLUMNS = {"x": "float", "user": "string"}
SPEC = FeatureSpec.model_validate({"label": "y"}).model_copy(update={"columns": COLUMNS})


@pytest.fixture(scope="module")
def linear(make_model):
    """A model of a binary label."""

    def reading(columns: dict[str, str] | None) -> standard_artifacts.Model:
        model = standard_artifacts.Model()
        model.uri = str(folder)
        if columns is not None:
            model.set_string_custom_property(COLUMNS_PROPERTY, json.dumps(columns))
        return model

    folder = make_model()
    return reading


@pytest.mark.parametrize(
    ("columns", "problems"),
    [
        (COLUMNS, []),
        ({"x": "float"}, []),  # the data has one more now
        (None, []),  # from before it was noted
        ({**COLUMNS, "zip": "integer"}, ["it reads 'zip' (integer), which the data no longer has"]),
        (
            {"x": "string", "user": "strings"},
            ["it reads 'x' as string, which is now float", "it reads 'user' as strings, which is now string"],
        ),
    ],
)
def test_columns(linear, columns, problems):
    assert misfits(linear(columns), linear(COLUMNS), SPEC) == problems


def test_rows_of_the_test_split_that_it_may_have_seen(linear):
    then, now = linear(COLUMNS), linear(COLUMNS)
    now.set_string_custom_property(
        SPLITS_PROPERTY, SplitRecord(by="time", columns=("t",), train_end=5, test_start=7).model_dump_json()
    )
    for splits, why in (
        (None, "nothing is recorded of the splits that it was trained with"),
        (SplitRecord(by="time", columns=("t",), train_end=8, test_start=9), "its train split ends at 8, and the test "
         "split begins at 7"),
    ):  # fmt: skip
        if splits:
            then.set_string_custom_property(SPLITS_PROPERTY, splits.model_dump_json())
        assert misfits(then, now, SPEC) == [f"it may have been trained on rows of the test split: {why}"]


def test_answers(linear):
    spec = SPEC.model_copy(update={"label": SPEC.label.model_copy(update={"number": True})})
    assert spec.label.kind == "number"
    assert misfits(linear(COLUMNS), linear(COLUMNS), spec) == [
        "it does not answer with 'prediction', but with logit, probability"
    ]
