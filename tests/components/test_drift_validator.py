"""A span against the one before."""

from __future__ import annotations

import json

import apache_beam as beam
import pytest
import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.types import standard_artifacts

from components.drift_validator import DriftValidator
from components.example_gen import fingerprinted
from components.properties import WARNINGS_PROPERTY
from schema.errors import DataError
from schema.feature_spec import FeatureSpec

DESCRIPTION = "{label: y, source: {files: '{SPAN}.csv'}, features: {user: {}, city: {}, age: numeric}}"
SCHEMA = (
    'feature { name: "user" type: INT } feature { name: "city" type: BYTES } feature { name: "age" type: FLOAT } '
    'feature { name: "_label" type: FLOAT }'
)


def rows(cities: str, users: str = "12") -> str:
    lines = [f"{row % 2},{users[row % len(users)]},{city},{row % 9}" for row, city in enumerate(cities * 20)]
    return "\n".join(["y,user,city,age", *lines, ""])


@pytest.fixture
def validate(tmp_path, make_dataset):
    def validate(before: str, now: str, schema: str, severity: str = "error", **max_drift: float) -> list[str]:
        """What is warned of where span 2 has followed span 1; empty texts for no span."""
        files = {f"{span}.csv": text for span, text in ((1, before), (2, now)) if text}
        dataset = make_dataset(tmp_path / "data", DESCRIPTION, files)
        given, anomalies = standard_artifacts.Schema(), standard_artifacts.ExampleAnomalies()
        given.uri, anomalies.uri = str(tmp_path / "schema"), str(tmp_path / "anomalies")
        (tmp_path / "schema").mkdir()
        tfdv.write_schema_text(text_format.Parse(schema, schema_pb2.Schema()), f"{given.uri}/schema.pbtxt")
        DriftValidator.test_call(
            schema=given,
            anomalies=anomalies,
            spec=FeatureSpec.model_dump_json(dataset.spec),
            span="2",
            files=fingerprinted(dataset.of_span(2)),
            span_before="1" if before else "",
            files_before=fingerprinted(dataset.of_span(1)) if before else "",
            max_drift=json.dumps(max_drift),
            severity=severity,
            code="",
            beam_pipeline=beam.Pipeline(runner="apache_beam.runners.portability.fn_api_runner.fn_runner.FnApiRunner"),
        )
        warnings: list[str] = json.loads(anomalies.get_string_custom_property(WARNINGS_PROPERTY))
        return warnings

    return validate


ROME, HALF = "rrrr", "rroo"


def test_each_difference_is_named_with_its_measure_and_its_threshold(validate):
    with pytest.raises(DataError) as caught:
        validate(rows(ROME, "12"), rows(HALF, "39"), SCHEMA, city=0.2, user=0.9, age=0.5)
    first, city, user, last = str(caught.value).splitlines()
    assert first == "the data of span 2 differs from that of span 1:"
    # Of (1, 0) and (1/2, 1/2): the entropy of their mean (3/4, 1/4) is 0.8113 bits, their mean entropy (0 + 1) / 2.
    assert city == "  city: expected a Jensen-Shannon divergence of at most 0.2, received 0.3113"
    # Users are names, also where these are digits: 1 and 2 have nothing in common with 3 and 9.
    assert user == "  user: expected a Jensen-Shannon divergence of at most 0.9, received 1.0000"
    assert "raise spans.max_drift" in last


def test_what_only_warns_and_comparators_of_the_schema_that_go_before(validate):
    compared = SCHEMA.replace("BYTES", "BYTES drift_comparator { infinity_norm { threshold: 0.4 } }")
    (warning,) = validate(rows(ROME), rows(HALF), compared, severity="warn", city=0.01)
    assert warning.splitlines()[1:] == ["  city: expected an L-infinity distance of at most 0.4, received 0.5000"]


def test_what_differs_little_passes(validate):
    assert validate(rows("rroo"), rows("oror"), SCHEMA, city=0.01, user=0.01, age=0.01, _label=0.01) == []


@pytest.mark.parametrize(("before", "drift"), [("", {"city": 0.01}), (rows(ROME), {})])
def test_nothing_is_compared_for_the_first_span_or_without_thresholds(validate, before, drift):
    assert validate(before, rows(HALF), SCHEMA, **drift) == []
