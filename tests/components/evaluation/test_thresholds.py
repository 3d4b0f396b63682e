import pytest

from components.evaluation.thresholds import DEFAULT_THRESHOLDS, SliceBounds, Threshold, applicable, pattern
from schema.errors import SpecError
from schema.feature_spec import FeatureSpec

SPEC = FeatureSpec.model_validate({"label": "y", "slices": [["device"], ["city", "device"]]}).model_copy(
    update={"columns": {"device": "string", "city": "string", "age": "integer"}}
)


@pytest.mark.parametrize(
    ("key", "slices"),
    [
        ("device", (("device", None),)),
        ("device=phone", (("device", "phone"),)),
        (" device =  a, b = c ", (("device", "a, b = c"),)),
        ("city,device", (("city", None), ("device", None))),
        ("city = Rome, device", (("city", "Rome"), ("device", None))),
        ("city, device = phone", (("city", None), ("device", "phone"))),
    ],
)
def test_slices_by_name(key, slices):
    assert pattern(key, SPEC, "") == slices


@pytest.mark.parametrize(
    ("key", "mend"),
    [
        ("devise = phone", "; did you mean 'device'?"),
        ("age", "; add 'age' to 'slices' in the dataset's features.yaml"),
        ("devicephone", "; did you mean 'device'?"),
    ],
)
def test_slices_that_the_dataset_does_not_have(key, mend):
    with pytest.raises(SpecError) as caught:
        applicable({"auc": Threshold(slices={key: SliceBounds(min=0.5)})}, SPEC)
    assert str(caught.value) == (
        "thresholds.auc.slices: expected slices of the dataset (device, city, device), such as 'COLUMN' or "
        f"'COLUMN = VALUE', received {key!r}{mend}"
    )


@pytest.mark.parametrize(
    ("columns", "key", "slices"),
    [
        ([" a"], " a = x", ((" a", "x"),)),
        ([" a "], "  a  = x", ((" a ", "x"),)),
        (["a,b = c", "a"], "a,b = c = x", (("a,b = c", "x"),)),
        (["a.b", "acb"], "a.b", (("a.b", None),)),
    ],
)
def test_slices_of_columns_with_marks_in_their_names(columns, key, slices):
    assert pattern(key, FeatureSpec.model_validate({"label": "y", "slices": columns}), "") == slices


def test_what_can_be_of_two_slices():
    spec = FeatureSpec.model_validate({"label": "y", "slices": ["a", "a = b"]})
    with pytest.raises(SpecError) as caught:
        pattern("a = b = c", spec, "here")
    assert str(caught.value) == (
        "here: expected one of the dataset's slices, received 'a = b = c', which can be of 'a' or 'a = b'; "
        "rename a column"
    )


def test_a_dataset_without_slices():
    spec = FeatureSpec.model_validate({"label": "y"})
    with pytest.raises(SpecError, match=r"slices: expected a dataset with 'slices' in its features.yaml, received"):
        applicable({"auc": Threshold(slices={"device": SliceBounds(min=0.5)})}, spec)


def test_defaults_are_of_the_metrics_that_a_dataset_has():
    assert list(applicable(DEFAULT_THRESHOLDS, SPEC)) == ["auc", "logloss", "calibration"]
