"""Stops the run if the latest span's values differ too much from those of the span before.

The component reads both spans from their files, and only the columns that it compares. A run's examples would not do:
they may come from a window of spans, in which one bad day hardly shows.
"""

import json
import os
from collections.abc import Iterator

import apache_beam as beam
import pyarrow as pa
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2
from tfx.components.example_validator.executor import DEFAULT_FILE_NAME
from tfx.dsl.component.experimental.annotations import (
    BeamComponentParameter,
    InputArtifact,
    OutputArtifact,
    Parameter,
)
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_artifacts

from components import distances
from components.example_gen import FilePart, parts_of
from components.properties import WARNINGS_PROPERTY
from components.schema_gen import SCHEMA_FILE
from schema import reader
from schema.errors import DataError
from schema.feature_spec import Categorical, FeatureSpec
from schema.lists import as_lists

SPLIT = "span"
"""The only split of the anomalies artifact."""

_MEASURES = {
    "L_INFTY": "an L-infinity distance",
    "JENSEN_SHANNON_DIVERGENCE": "a Jensen-Shannon divergence",
    "NORMALIZED_ABSOLUTE_DIFFERENCE": "a normalized absolute difference",
}
"""The distances' names in messages, by TFDV's name."""


@component(use_beam=True)  # type: ignore[untyped-decorator]
def DriftValidator(  # noqa: N802 (a TFX component)
    schema: InputArtifact[standard_artifacts.Schema],
    anomalies: OutputArtifact[standard_artifacts.ExampleAnomalies],
    spec: Parameter[str],
    span: Parameter[str],
    files: Parameter[str],
    span_before: Parameter[str],
    files_before: Parameter[str],
    max_drift: Parameter[str],
    severity: Parameter[str],
    code: Parameter[str],
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Compares two spans by TFDV's drift comparators.

    Args:
        schema: the schema, whose features' drift comparators say which columns are compared, and their limits.
        anomalies: the output, which receives TFDV's findings.
        spec: the resolved feature spec as JSON.
        span: the name of the span.
        files: the span's files, see `components.example_gen.fingerprinted`.
        span_before: the name of the span before; empty for the first span, which is not compared.
        files_before: the files of the span before.
        max_drift: the largest Jensen-Shannon divergence by column, as JSON, for columns without a comparator.
        severity: `error` or `warn`, for larger differences.
        code: the version of this component's code.
        beam_pipeline: the Beam pipeline, which TFX passes.

    Raises:
        DataError: values differ too much; the message has a line for each such column.
    """
    del code  # part of the cache key only
    anomalies.split_names = artifact_utils.encode_split_names([SPLIT])
    feature_spec = FeatureSpec.model_validate_json(spec)
    compared = _with_comparators(
        tfdv.load_schema_text(os.path.join(schema.uri, SCHEMA_FILE)), feature_spec, json.loads(max_drift)
    )
    names = [feature.name for feature in compared.feature]
    found = anomalies_pb2.Anomalies()
    if span_before and names:
        options = tfdv.StatsOptions(schema=compared, feature_allowlist=names)
        paths = {name: os.path.join(anomalies.uri, f"{name}.binpb") for name in ("now", "before")}
        fileio.makedirs(anomalies.uri)
        with beam_pipeline as pipeline:
            for name, of_span in (("now", files), ("before", files_before)):
                _ = (
                    pipeline
                    | f"Parts of {name}" >> beam.Create(parts_of(of_span, feature_spec))
                    | f"Spread {name}" >> beam.Reshuffle()
                    | f"Read {name}" >> beam.FlatMap(_read, feature_spec, names)
                    | f"Describe {name}" >> tfdv.GenerateStatistics(options)
                    | f"Write {name}" >> beam.Map(_write, paths[name])
                )
        now, before = (_statistics(paths[name]) for name in ("now", "before"))
        found = tfdv.validate_statistics(now, compared, previous_statistics=before)
    _write(found, os.path.join(artifact_utils.get_split_uri([anomalies], SPLIT), DEFAULT_FILE_NAME))
    lines = _too_different(found)
    problem = "\n".join([f"the data of span {span} differs from that of span {span_before}:", *lines])
    if lines and severity == "error":
        raise DataError(
            f"{problem}\nMend the data; or, if the data is right, raise spans.max_drift, change the comparators in "
            "schema.pbtxt, or let it pass with spans.drift=warn."
        )
    anomalies.set_string_custom_property(WARNINGS_PROPERTY, json.dumps([problem] if lines else []))


def _with_comparators(schema: schema_pb2.Schema, spec: FeatureSpec, max_drift: dict[str, float]) -> schema_pb2.Schema:
    """The schema of the compared features, without anything that other components check."""
    compared = distances.comparators(schema, "drift", max_drift)
    for feature in compared.feature:
        if feature.type == schema_pb2.INT and isinstance(spec.features.get(feature.name), Categorical):
            feature.int_domain.is_categorical = True
    return compared


def _read(part: FilePart, spec: FeatureSpec, names: list[str]) -> Iterator[pa.RecordBatch]:
    for batch in reader.read(part.path, spec, part=part.number, only=names):
        yield as_lists(batch)


def _write(message: statistics_pb2.DatasetFeatureStatisticsList | anomalies_pb2.Anomalies, path: str) -> None:
    fileio.makedirs(os.path.dirname(path))
    with fileio.open(path, "wb") as file:
        file.write(message.SerializeToString())


def _statistics(path: str) -> statistics_pb2.DatasetFeatureStatisticsList:
    with fileio.open(path, "rb") as file:
        return statistics_pb2.DatasetFeatureStatisticsList.FromString(file.read())


def _too_different(found: anomalies_pb2.Anomalies) -> list[str]:
    """A line for each measurement that is above its threshold."""
    return [
        f"  {each.column}: expected {_MEASURES[each.measure]} of at most {each.limit:g}, received {each.value:.4f}"
        for each in distances.measured(found, "drift")
        if each.is_too_far
    ]
