"""The errors of a run whose data breaks its schema."""

import pytest
import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.types import standard_artifacts

from components.example_validator import Executor
from schema.errors import DataError

DESCRIPTION = """
label: y
source: {files: {train: train.csv, eval: eval.csv, test: test.csv}}
"""
HEADER = "y,age,city\n"
TRAIN = HEADER + "1,30,Rome\n0,40,Oslo\n1,50,\n"
EVAL = HEADER + "1,-5,Rome\n0,40,Paris\n"

GOOD = """
feature { name: "_label" type: FLOAT presence { min_fraction: 1 } }
feature { name: "age" type: FLOAT }
feature { name: "city" type: BYTES }
"""


@pytest.fixture(scope="module")
def statistics(tmp_path_factory, make_dataset, make_examples, make_statistics):
    folder = tmp_path_factory.mktemp("validator")
    dataset = make_dataset(folder / "data", DESCRIPTION, {"train.csv": TRAIN, "eval.csv": EVAL, "test.csv": EVAL})
    return make_statistics(make_examples(dataset, folder / "examples"), folder / "statistics")


@pytest.fixture
def validate(tmp_path, statistics):
    def validate(text: str) -> None:
        schema, anomalies = standard_artifacts.Schema(), standard_artifacts.ExampleAnomalies()
        schema.uri, anomalies.uri = str(tmp_path / "schema"), str(tmp_path / "anomalies")
        (tmp_path / "schema").mkdir()
        tfdv.write_schema_text(text_format.Parse(text, schema_pb2.Schema()), str(tmp_path / "schema" / "schema.pbtxt"))
        inputs = {"statistics": [statistics], "schema": [schema]}
        Executor().Do(inputs, {"anomalies": [anomalies]}, {"exclude_splits": "[]"})

    return validate


def test_data_that_follows_its_schema(validate):
    validate(GOOD)


def test_every_anomaly_of_every_split_has_a_line(validate):
    strict = GOOD.replace('"age" type: FLOAT', '"age" type: FLOAT float_domain { min: 0 }').replace(
        '"city" type: BYTES',
        '"city" type: BYTES presence { min_fraction: 1 } string_domain { value: "Rome" value: "Oslo" }',
    )
    with pytest.raises(DataError) as caught:
        validate(strict)
    first, *lines, last = str(caught.value).splitlines()

    assert first == "the data does not follow its schema:"
    assert last == "Mend the data, or change schema.pbtxt if the data is right."
    # In the train split one of three rows lacks its city; eval and test hold -5 and Paris, which their schema does not.
    splits_and_columns = [line.split(": ")[0] for line in lines]
    assert sorted(splits_and_columns) == [
        "  eval split, age", "  eval split, city", "  test split, age", "  test split, city", "  train split, city",
    ]  # fmt: skip
    (paris,) = [line for line in lines if line.startswith("  eval split, city")]
    assert "Paris" in paris


def test_columns_that_the_schema_does_not_know_or_knows_otherwise(validate):
    wrong = GOOD.replace('feature { name: "city" type: BYTES }', "").replace('"age" type: FLOAT', '"age" type: BYTES')
    with pytest.raises(DataError) as caught:
        validate(wrong)
    lines = [line for line in str(caught.value).splitlines() if line.startswith("  train split")]
    assert [line.split(": ")[0] for line in lines] == ["  train split, age", "  train split, city"]
