"""A sample of requests and responses in files, by `logging_config`."""

import time
from pathlib import Path

import grpc
import pytest
import tensorflow as tf
from google.protobuf import text_format
from grpc import StatusCode
from tensorflow_serving.apis import (
    classification_pb2,
    input_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.config.logging_config_pb2 import LoggingConfig
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from serving.server import Server, ServerOptions, StatusError, monitoring, request_log
from serving.server.request_log import RequestLogs
from tests.serving.asking import TIMEOUT_S, error_of, wait_until


def config(base_path, logging):
    text = f'config {{ name: "toy" base_path: "{base_path}" model_platform: "tensorflow" {logging} }}'
    return text_format.Parse(f"model_config_list {{ {text} }}", ModelServerConfig())


def logging_to(prefix, rate=1.0, kind="tfrecord"):
    collector = f'log_collector_config {{ type: "{kind}" filename_prefix: "{prefix}" }}'
    return f"logging_config {{ {collector} sampling_config {{ sampling_rate: {rate} }} }}"


def records(folder: Path) -> list[prediction_log_pb2.PredictionLog]:
    files = sorted(str(path) for path in folder.glob("*.tfrecord"))
    return [
        prediction_log_pb2.PredictionLog.FromString(record)
        for record in tf.data.TFRecordDataset(files).as_numpy_iterator()
    ]


@pytest.fixture
def asked(base_path, push, tmp_path):
    """A server, whose requests are logged, and its stubs."""
    push(2)
    file = tmp_path / "models.config"
    file.write_text(text_format.MessageToString(config(base_path, logging_to(tmp_path / "logs" / "toy"))))
    with Server(ServerOptions("toy", model_config_file=str(file))) as server:
        server.wait_until_available(TIMEOUT_S)
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            yield (
                prediction_service_pb2_grpc.PredictionServiceStub(channel),
                model_service_pb2_grpc.ModelServiceStub(channel),
            )


def test_requests_are_logged_with_their_responses(asked, rank_request, tmp_path):
    prediction, _ = asked
    begin = int(time.time())
    response = prediction.Predict(rank_request([7, 8]), timeout=TIMEOUT_S)
    example = tf.train.Example(features={"feature": {"user": tf.train.Feature(bytes_list={"value": [b"ann"]})}})
    classify = classification_pb2.ClassificationRequest(
        model_spec=model_pb2.ModelSpec(name="toy", signature_name="classify"),
        input=input_pb2.Input(example_list=input_pb2.ExampleList(examples=[example])),
    )
    scores = prediction.Classify(classify, timeout=TIMEOUT_S)

    wait_until(lambda: len(records(tmp_path / "logs")) == 2)
    first, second = records(tmp_path / "logs")
    assert first.predict_log.request == rank_request([7, 8])
    assert first.predict_log.response == response
    assert first.log_metadata.model_spec == response.model_spec
    assert first.log_metadata.model_spec.version.value == 2
    assert first.log_metadata.sampling_config.sampling_rate == 1.0
    assert begin <= first.log_metadata.timestamp_secs <= time.time()
    assert second.classify_log.response == scores


def test_what_is_refused_is_not_logged(asked, rank_request, tmp_path):
    prediction, _ = asked
    code, _ = error_of(prediction.Predict, rank_request([7], item=tf.constant([1.5]).numpy()))
    assert code == StatusCode.INVALID_ARGUMENT
    prediction.Predict(rank_request([7]), timeout=TIMEOUT_S)
    wait_until(lambda: len(records(tmp_path / "logs")) == 1)


def test_another_configuration_ends_the_log_and_begins_another(asked, rank_request, base_path, tmp_path):
    prediction, models = asked
    prediction.Predict(rank_request([7]), timeout=TIMEOUT_S)
    for logging in (logging_to(tmp_path / "other" / "toy"), ""):
        request = model_management_pb2.ReloadConfigRequest(config=config(base_path, logging))
        models.HandleReloadConfigRequest(request, timeout=TIMEOUT_S)
        prediction.Predict(rank_request([8]), timeout=TIMEOUT_S)
    # What was waiting is written before a log ends; after the last one nothing is logged.
    assert [len(records(tmp_path / name)) for name in ("logs", "other")] == [1, 1]


@pytest.mark.parametrize(
    ("logging", "message"),
    [
        (logging_to("/logs/toy", kind="kafka"), "No request-logger-creator provided."),
        (logging_to(""), "Model toy: expected a filename_prefix in log_collector_config, received none"),
    ],
)
def test_what_cannot_be_logged_is_refused_and_the_log_stays(asked, rank_request, base_path, tmp_path, logging, message):
    prediction, models = asked
    request = model_management_pb2.ReloadConfigRequest(config=config(base_path, logging))
    assert error_of(models.HandleReloadConfigRequest, request) == (StatusCode.INVALID_ARGUMENT, message)
    prediction.Predict(rank_request([7]), timeout=TIMEOUT_S)
    wait_until(lambda: len(records(tmp_path / "logs")) == 1)


@pytest.fixture
def answered(rank_request):
    """A request and its response."""
    return rank_request([7]), predict_pb2.PredictResponse(model_spec=model_pb2.ModelSpec(name="toy"))


@pytest.fixture
def logs():
    logs = RequestLogs()
    yield logs
    logs.close()


def logging_config(prefix, rate=1.0):
    return text_format.Parse(logging_to(prefix, rate).removeprefix("logging_config {")[:-1], LoggingConfig())


def test_a_share_of_the_requests_is_logged(logs, answered, tmp_path, monkeypatch):
    monkeypatch.setattr(request_log, "_MAX_WAITING", 10_000)
    request_log.random.seed(0)
    logs.configure({"toy": logging_config(tmp_path / "logs" / "toy", rate=0.25)})
    for _ in range(2000):
        logs.log(*answered)
    logs.close()
    assert 400 < len(records(tmp_path / "logs")) < 600


def test_a_file_has_an_end(logs, answered, tmp_path, monkeypatch):
    monkeypatch.setattr(request_log, "_MAX_BYTES", 1)
    logs.configure({"toy": logging_config(tmp_path / "logs" / "toy")})
    for _ in range(3):
        logs.log(*answered)
    logs.close()
    assert len(list((tmp_path / "logs").glob("toy-*.tfrecord"))) == 3
    assert len(records(tmp_path / "logs")) == 3


def test_a_disk_that_takes_nothing_costs_records_and_no_answers(logs, answered, tmp_path):
    (tmp_path / "file").write_text("no folder")
    before = counted("UNAVAILABLE")
    logs.configure({"toy": logging_config(tmp_path / "file" / "toy")})
    logs.log(*answered)
    logs.close()
    assert counted("UNAVAILABLE") == before + 1


def counted(status):
    lines = [line for line in monitoring.request_log_count.lines() if f'status_code="{status}"' in line]
    return sum(int(line.rsplit(" ", 1)[1]) for line in lines)


def test_another_model_is_not_logged(logs, answered, tmp_path):
    logs.configure({"another": logging_config(tmp_path / "logs" / "toy")})
    logs.log(*answered)
    logs.close()
    assert not (tmp_path / "logs").exists()


def test_a_server_without_a_place_for_logs_does_not_start(base_path, tmp_path):
    file = tmp_path / "models.config"
    file.write_text(text_format.MessageToString(config(base_path, logging_to("", kind=""))))
    with pytest.raises(StatusError, match="No request-logger-creator provided"):
        Server(ServerOptions("toy", model_config_file=str(file))).start()
