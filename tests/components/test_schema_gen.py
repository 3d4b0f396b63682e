"""The schema with which later components read examples, given or inferred: it has every column's tensor."""

import math
import os

import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.types import standard_artifacts
from tfx_bsl.tfxio import tensor_representation_util

from components.schema_gen import SCHEMA_FILE, SchemaGen, read_given
from schema.errors import SpecError

DESCRIPTION = """
label: y
weight: w
source: {files: {train: train.csv, eval: eval.csv, test: test.csv}}
columns: {born: integer, price: float}
features:
  tags: {type: multivalent, separator: "|"}
  rare: {max_missing: 1}
  born: {max_missing: 1}
  codes: {type: multivalent, separator: "|", max_missing: 1}
  price: {type: numeric, max_missing: 1}
"""
# In the train split nobody has a rare, born or price value, and no row has codes.
TRAIN = "y,w,user,age,tags,rare,born,codes,price\n1,1,ann,3,a|b,,,,\n0,2,bob,,,,,,\n1,1,cleo,4,c,,,,\n0,1,dan,5,c,,,,\n"
OTHER = "y,w,user,age,tags,rare,born,codes,price\n1,1,ann,3,a,x,1980,1|2,9.5\n0,2,bob,4,b,,,,\n"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, make_dataset):
    files = {"train.csv": TRAIN, "eval.csv": OTHER, "test.csv": OTHER}
    return make_dataset(tmp_path_factory.mktemp("schema_gen") / "data", DESCRIPTION, files)


@pytest.fixture(scope="module")
def statistics(tmp_path_factory, dataset, make_examples, make_statistics):
    folder = tmp_path_factory.mktemp("schema_gen")
    return make_statistics(make_examples(dataset, folder / "examples"), folder / "statistics")


@pytest.fixture
def generate(tmp_path, dataset, statistics):
    def generate(given: str = "") -> schema_pb2.Schema:
        schema = standard_artifacts.Schema()
        schema.uri = str(tmp_path)
        SchemaGen.test_call(
            statistics=statistics, schema=schema, spec=dataset.spec.model_dump_json(), code="", given=given
        )
        return tfdv.load_schema_text(os.path.join(schema.uri, SCHEMA_FILE))

    return generate


TYPES = {
    "user": schema_pb2.BYTES, "tags": schema_pb2.BYTES, "rare": schema_pb2.BYTES, "codes": schema_pb2.BYTES,
    "born": schema_pb2.INT,
    "age": schema_pb2.FLOAT, "price": schema_pb2.FLOAT, "_label": schema_pb2.FLOAT, "_weight": schema_pb2.FLOAT,
}  # fmt: skip


def test_an_inferred_schema_has_every_column_also_those_that_are_empty_throughout(generate):
    assert {feature.name: feature.type for feature in generate().feature} == TYPES


def test_an_inferred_schema_asks_for_values_only_where_every_row_had_one(generate):
    presence = {feature.name: feature.presence for feature in generate().feature}
    assert {name for name in presence if presence[name].min_count} == {"user", "_label", "_weight"}
    assert presence["user"].min_fraction == pytest.approx(0.9)
    assert presence["age"].min_fraction == presence["rare"].min_fraction == 0


def test_an_inferred_schema_knows_no_values_so_that_new_ones_are_no_mistake(generate):
    schema = generate()
    assert not schema.string_domain
    assert [feature.name for feature in schema.feature if feature.WhichOneof("domain_info")] == []


def test_every_column_becomes_the_tensor_that_the_model_is_served_with(generate):
    """In terms of tf.io.parse_example, which is how TFX reads examples by a schema."""
    representations = tensor_representation_util.GetTensorRepresentationsFromSchema(generate(), "")
    parsing = {
        name: tensor_representation_util.CreateTfExampleParserConfig(representation, TYPES[name])
        for name, representation in representations.items()
    }
    assert set(parsing) == set(TYPES)
    assert parsing["tags"] == parsing["codes"] == tf.io.VarLenFeature(tf.string)
    assert parsing["user"] == parsing["rare"] == tf.io.FixedLenFeature([], tf.string, [b""])
    assert parsing["born"] == tf.io.FixedLenFeature([], tf.int64, [-(2**63)])
    for name in ("age", "price", "_label", "_weight"):
        (default,) = parsing[name].default_value
        assert (parsing[name].shape, parsing[name].dtype, math.isnan(default)) == ([], tf.float32, True)


GIVEN = """
feature { name: "user" type: BYTES presence { min_fraction: 1.0 } string_domain { value: "ann" } }
feature { name: "tags" type: BYTES }
feature { name: "y2" type: INT }
"""


def test_a_given_schema_is_taken_as_it_is_and_gets_representations(generate):
    schema = generate(GIVEN)
    given = text_format.Parse(GIVEN, schema_pb2.Schema())
    assert list(schema.feature) == list(given.feature)
    representations = schema.tensor_representation_group[""].tensor_representation
    assert representations["user"].dense_tensor.default_value.bytes_value == b""
    assert representations["tags"].HasField("varlen_sparse_tensor")


def test_a_given_text_that_is_no_schema(tmp_path):
    path = tmp_path / "schema.pbtxt"
    path.write_text("feature {\n  typ: INT\n}")
    message = r"schema\.pbtxt: expected a TFMD schema in text format; line and column 2:3 : .*typ"
    with pytest.raises(SpecError, match=message):
        read_given(path)
