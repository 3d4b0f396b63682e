"""The candidate on a real server on a free loopback port."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2
from tfx.types import artifact_utils, standard_artifacts

from components.evaluation.thresholds import Limits
from components.infra_check import REPORT_FILE, InfraCheck, InfraCheckError, check
from schema.feature_spec import FeatureSpec

ROWS = 250
SPEC = FeatureSpec.model_validate({"label": "y"})


def example(x: float) -> bytes:
    feature = tf.train.Feature(float_list=tf.train.FloatList(value=[x]))
    return tf.train.Example(features=tf.train.Features(feature={"x": feature})).SerializeToString()


EXAMPLES = [example(x) for x in np.linspace(-3, 3, ROWS)]


def predict_log(examples: list[bytes], signature: str = "serving_default") -> bytes:
    request = predict_pb2.PredictRequest()
    request.model_spec.signature_name = signature
    request.inputs["examples"].CopyFrom(tf.make_tensor_proto(examples))
    log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
    return log.SerializeToString()


def warm_up(model: Path, *records: bytes) -> Path:
    """Adds warm-up records; gives the SavedModel's folder."""
    saved_model = model / "Format-Serving"
    (saved_model / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(saved_model / "assets.extra" / "tf_serving_warmup_requests")) as writer:
        for record in records:
            writer.write(record)
    return saved_model


def test_a_model_that_is_served_as_it_answers_itself(make_model):
    report, gate = check(str(warm_up(make_model(), predict_log(EXAMPLES[:10]))), EXAMPLES, SPEC, Limits(candidates=7))

    assert (report["checked"], report["rows"]) == (True, ROWS)
    assert report["largest_difference"] < 1e-6
    assert report["load_seconds"] > 0
    assert report["megabytes"] > 0
    latency = report["latency"]
    assert (latency["signature"], latency["candidates"]) == ("serving_default", 7)
    assert latency["requests"] > 1
    assert list(latency["percentiles"]) == ["p50", "p90", "p99"]
    assert 0 < latency["percentiles"]["p50"] <= latency["percentiles"]["p90"] <= latency["percentiles"]["p99"]
    assert gate.conditions == []


def test_a_model_whose_served_answers_are_others(make_model):
    message = (
        r"^infra check: expected served answers equal to the model's own to 1e-05, "
        r"received (probability|logit) -?\d\.\d+ instead of -?\d\.\d+ for row \d+ of the test split$"
    )
    with pytest.raises(InfraCheckError, match=message):
        check(str(make_model("Fickle") / "Format-Serving"), EXAMPLES, SPEC, Limits())


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"\xff\xff", "warm-up record 2 of .*: expected a PredictionLog message"),
        (predict_log([b"\xff\xff"]), "warm-up record 2 of .*: .*Could not parse example"),
        (predict_log(EXAMPLES[:1], "rank"), "warm-up record 2 of .*: .*rank"),
    ],
)
def test_a_warm_up_record_that_fails(make_model, record, reason):
    path = warm_up(make_model(), predict_log(EXAMPLES[:1]), record)
    with pytest.raises(
        InfraCheckError, match=f"^infra check: expected a model that can be served, received: .*{reason}"
    ):
        check(str(path), EXAMPLES, SPEC, Limits())


@pytest.mark.parametrize("content", [None, b"no graph"])
def test_a_model_that_does_not_load(tmp_path, content):
    if content:
        (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(InfraCheckError, match=r"^infra check: expected a model that can be served, received: "):
        check(str(tmp_path), EXAMPLES, SPEC, Limits())


@pytest.fixture
def infra_check(tmp_path):
    """Runs the component on a model and 250 rows of a test split; gives the blessing that it fills."""
    examples = standard_artifacts.Examples()
    examples.uri = str(tmp_path / "examples")
    examples.split_names = artifact_utils.encode_split_names(["train", "test"])
    os.makedirs(artifact_utils.get_split_uri([examples], "test"))
    file = Path(artifact_utils.get_split_uri([examples], "test")) / "data_tfrecord-0.gz"
    with tf.io.TFRecordWriter(str(file), "GZIP") as writer:
        for record in EXAMPLES:
            writer.write(record)

    def run(
        folder: Path | str, blessed: bool, rows: int = 1000, limits: Limits | None = None
    ) -> standard_artifacts.InfraBlessing:
        model, model_blessing = standard_artifacts.Model(), standard_artifacts.ModelBlessing()
        model.uri = str(folder)
        model_blessing.set_int_custom_property("blessed", int(blessed))
        blessing = standard_artifacts.InfraBlessing()
        blessing.uri = str(tmp_path / "blessing")
        InfraCheck.test_call(
            model=model,
            model_blessing=model_blessing,
            examples=examples,
            blessing=blessing,
            spec=SPEC.model_dump_json(),
            limits=(limits or Limits()).model_dump_json(),
            rows=rows,
            server="embedded",
            code="",
        )
        return blessing

    return run


def report_of(blessing: standard_artifacts.InfraBlessing) -> dict:
    return json.loads((Path(blessing.uri) / REPORT_FILE).read_text())


@pytest.mark.parametrize(("rows", "compared"), [(1000, ROWS), (120, 120)])
def test_blesses_a_model_that_can_be_served(infra_check, make_model, rows, compared):
    blessing = infra_check(make_model(), blessed=True, rows=rows)

    assert blessing.get_string_custom_property("blessing_status") == "INFRA_BLESSED"
    assert report_of(blessing)["rows"] == compared


def test_a_model_in_a_store_is_served_from_a_copy(infra_check, make_model):
    """Where TensorFlow finds it by a URI, which is no path for a server."""
    blessing = infra_check(f"file://{make_model()}", blessed=True, rows=120)

    assert report_of(blessing)["rows"] == 120


def test_a_model_that_is_not_blessed_is_not_checked(infra_check, tmp_path):
    blessing = infra_check(tmp_path / "no model here", blessed=False)

    assert blessing.get_string_custom_property("blessing_status") == "INFRA_NOT_BLESSED"
    assert report_of(blessing) == {"checked": False, "gate": {"conditions": [], "unjudged": [], "remarks": []}}
    assert blessing.get_int_custom_property("checked") == 0


LIMITS = Limits(latency_ms=1e-6, percentile=75, candidates=3, size_mb=1e-6)


@pytest.mark.parametrize("blessed", [True, False])
def test_every_limit_that_is_missed_is_a_reason_also_of_a_model_that_is_refused_already(
    infra_check, make_model, blessed
):
    blessing = infra_check(make_model(), blessed=blessed, limits=LIMITS)

    assert blessing.get_string_custom_property("blessing_status") == "INFRA_NOT_BLESSED"
    assert blessing.get_int_custom_property("checked") == 1
    slow, large = json.loads(blessing.get_string_custom_property("refusals"))
    assert re.fullmatch(
        r"latency at p75: expected at most 1e-06 ms for 3 candidates, received \d+\.\d{3} on this machine", slow
    )
    assert re.fullmatch(r"size: expected at most 1e-06 MB, received 0\.0\d\d", large)
    assert list(report_of(blessing)["latency"]["percentiles"]) == ["p50", "p75", "p90", "p99"]


def test_limits_that_are_kept(infra_check, make_model):
    blessing = infra_check(make_model(), blessed=True, limits=Limits(latency_ms=1e6, size_mb=1e6))

    assert blessing.get_string_custom_property("blessing_status") == "INFRA_BLESSED"
    kept = report_of(blessing)["gate"]["conditions"]
    assert [(each["what"], each["outcome"]) for each in kept] == [("latency at p99", "kept"), ("size", "kept")]
