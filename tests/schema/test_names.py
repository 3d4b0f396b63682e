"""The allowed names of columns, and the messages about others."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.dataset import find
from schema.describe import describe
from schema.errors import SpecError, listing
from schema.feature_spec import FeatureSpec, load
from schema.names import is_fit
from tests.names import FIT, UNFIT

NAMES = st.sampled_from([*FIT, *UNFIT]) | st.text().filter(lambda name: not name.startswith("_"))
ROLES = {
    "features": "{{label: y, features: {{{0}: numeric}}}}",
    "label.column": "label: {0}",
    "other_labels.b.column": "{{label: y, other_labels: {{b: {0}}}}}",
    "weight": "{{label: y, weight: {0}}}",
    "slices[0]": "{{label: y, slices: [{0}]}}",
    "ranking.group": "{{label: y, ranking: {{group: {0}, item: z}}}}",
    "ranking.item_columns": "{{label: y, ranking: {{group: x, item: z, item_columns: [{0}]}}}}",
    "splits.key": "{{label: y, splits: {{key: {0}}}}}",
    "crosses[0].name": "{{label: y, crosses: [{{columns: [x, z], name: {0}}}]}}",
}


@pytest.mark.parametrize("name", UNFIT)
@pytest.mark.parametrize("key", ROLES)
def test_names_that_are_not_a_line_of_text_are_refused_in_every_role(tmp_path, key, name):
    path = tmp_path / "features.yaml"
    path.write_text(ROLES[key].format(json.dumps(name)))
    with pytest.raises(SpecError) as caught:
        load(path)
    advice = "rename it, or add the column to 'ignore'" if key == "features" else "rename it"
    assert str(caught.value) == (
        f"{path}: {key}: expected a name of one line without control characters, received {name!r}; {advice}"
    )


def test_a_column_of_the_files_is_refused_unless_it_is_ignored():
    columns = {"y": "integer", "x": "float", "Price\n(USD)": "float"}
    spec = FeatureSpec.model_validate({"label": "y"})
    with pytest.raises(
        SpecError, match=r"features: expected a name of one line .*, received 'Price\\n\(USD\)'; rename"
    ):
        spec.resolve(columns)
    assert list(FeatureSpec(label={"column": "y"}, ignore=["Price\n(USD)"]).resolve(columns).features) == ["x"]


@settings(deadline=None)
@given(st.dictionaries(NAMES, st.sampled_from(["string", "integer"])))
def test_columns_of_any_names_are_features_or_a_line_each(columns):
    unfit = {name for name in columns if not is_fit(name)}
    try:
        spec = FeatureSpec.model_validate({"label": "the label"}).resolve(
            {**columns, "the label": "integer", "x y": "string"}
        )
    except SpecError as error:
        lines = str(error).splitlines()
        assert {repr(name) for name in unfit} == {
            line.split("received ")[1].rpartition("; rename")[0] for line in lines
        }
    else:
        assert not unfit
        assert {*spec.features} == {*columns, "x y"}
        assert FeatureSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{label: y, features: {2019: numeric}}", "features.2019: expected text, received 2019; put it into quotes"),
        ("{label: y, ignore: [null]}", "ignore[0]: expected text, received nothing; put it into quotes"),
        ("label: {column: 2019}", "label.column: expected text, received 2019; put it into quotes"),
        ("{label: y, slices: [7]}", "slices[0][0]: expected text, received 7; put it into quotes"),
        ("{label: y, weight: [w]}", "weight: expected text, received ['w']"),
        (
            '{label: y, features: {"a\\nb": {type: numeric, buckets: 1}}}',
            "features.'a\\nb'.buckets: expected a number of at least 2, received 1",
        ),
    ],
)
def test_names_that_yaml_takes_for_something_else(tmp_path, text, line):
    path = tmp_path / "features.yaml"
    path.write_text(text)
    with pytest.raises(SpecError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: {line}"


def test_listed_names_are_on_one_line():
    assert listing(["a b", "größe", "a\nb", "\x1b[31m"]) == "a b, größe, 'a\\nb', '\\x1b[31m'"


@pytest.mark.parametrize("names", [("row", "price"), ("price", "row"), ("0", "1"), ("1", "0"), ("level_0", "index")])
def test_tokens_of_crosses_are_counted_whatever_the_columns_are_called(make_folder, names):
    first, second = map(json.dumps, names)
    spec = (
        "source: {files: {train: t.csv, eval: t.csv, test: t.csv}}\nlabel: y\n"
        f"columns: {{{first}: string}}\n"
        f"features: {{{first}: , {second}: {{type: multivalent, separator: '|'}}}}\n"
        f"crosses: [{{columns: [{first}, {second}], name: both}}]\n"
    )
    rows = f"y,{names[0]},{names[1]}\n1,2,p|q\n0,1,q\n1,2,p\n0,,\n"
    (cross,) = describe(find(make_folder(spec, {"t.csv": rows}))).crosses
    assert cross.ids == 3 + 1  # 2 × p, 2 × q, 1 × q; others
