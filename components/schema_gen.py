"""The TFMD schema of a dataset's examples: the given one, or one inferred from the train split."""

import os
from pathlib import Path

import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from schema.errors import SpecError
from schema.feature_spec import MISSING, FeatureSpec

SCHEMA_FILE = "schema.pbtxt"

_INFERRED_PRESENCE = 0.9
"""The factor from a column's presence in the train split to the presence that the schema demands of any split."""

_TYPES = {"string": schema_pb2.BYTES, "integer": schema_pb2.INT, "float": schema_pb2.FLOAT}


@component  # type: ignore[untyped-decorator]
def SchemaGen(  # noqa: N802 (a TFX component)
    statistics: InputArtifact[standard_artifacts.ExampleStatistics],
    schema: OutputArtifact[standard_artifacts.Schema],
    spec: Parameter[str],
    code: Parameter[str],
    given: Parameter[str] = "",
) -> None:
    """Writes the schema that all later components read examples with.

    Args:
        statistics: the statistics of the examples, with the train split at least.
        schema: the output, which receives `schema.pbtxt`.
        spec: the resolved feature spec as JSON.
        code: the version of this component's code; a change leads to a new schema.
        given: the dataset's own schema, see `read_given`; empty to infer one.
    """
    del code  # part of the cache key only
    feature_spec = FeatureSpec.model_validate_json(spec)
    if given:
        proto = text_format.Parse(given, schema_pb2.Schema())
    else:
        proto = infer(stats_artifact_utils.load_statistics(statistics, "train").proto(), feature_spec)
    represent(proto, feature_spec)
    tfdv.write_schema_text(proto, os.path.join(schema.uri, SCHEMA_FILE))


def read_given(path: Path) -> str:
    """The text of a dataset's own schema.

    Raises:
        SpecError: the file is not a TFMD schema in protobuf's text format.
    """
    text = path.read_text(encoding="utf-8")
    try:
        text_format.Parse(text, schema_pb2.Schema())
    except text_format.ParseError as error:
        raise SpecError(f"{path}: expected a TFMD schema in text format; line and column {error}") from None
    return text


def infer(statistics: object, spec: FeatureSpec) -> schema_pb2.Schema:
    """Infers a schema with the spec's types and the train split's presence, without string domains.

    Args:
        statistics: the `DatasetFeatureStatisticsList` of the train split.
        spec: the resolved feature spec.
    """
    proto = tfdv.infer_schema(statistics, infer_feature_shape=False, max_string_domain_size=0)
    for feature in proto.feature:
        # TFDV takes a column without any value for a string column.
        feature.type = _TYPES[spec.columns.get(feature.name, "float").removesuffix("s")]
        feature.presence.min_fraction *= _INFERRED_PRESENCE
        feature.presence.min_count = int(feature.presence.min_fraction > 0)
    return proto


def represent(proto: schema_pb2.Schema, spec: FeatureSpec) -> None:
    """Adds tensor representations: univalent columns are dense, with `MISSING` where an example lacks them.

    Without this, TFX makes dense tensors only of columns without gaps, and refuses a request that lacks such a column.
    """
    representations = proto.tensor_representation_group[""].tensor_representation
    for feature in proto.feature:
        kind = spec.columns.get(feature.name, "float")
        if kind in _TYPES:
            dense = representations[feature.name].dense_tensor
            dense.column_name = feature.name
            dense.shape.SetInParent()
            _set_default(dense.default_value, kind)
        else:
            representations[feature.name].varlen_sparse_tensor.column_name = feature.name


def _set_default(default: schema_pb2.TensorRepresentation.DefaultValue, kind: str) -> None:
    if kind == "string":
        default.bytes_value = str(MISSING[kind]).encode()
    elif kind == "integer":
        default.int_value = int(MISSING[kind])
    else:
        default.float_value = float(MISSING[kind])
