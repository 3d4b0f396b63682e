import json

import pytest
from tfx.types import standard_artifacts

from components.baseline import misfits
from components.trainer import COLUMNS_PROPERTY
from schema.feature_spec import FeatureSpec

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


def test_answers(linear):
    spec = SPEC.model_copy(update={"label": SPEC.label.model_copy(update={"number": True})})
    assert spec.label.kind == "number"
    assert misfits(linear(COLUMNS), linear(COLUMNS), spec) == [
        "it does not answer with 'prediction', but with logit, probability"
    ]
