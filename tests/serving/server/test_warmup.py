"""Warm-up requests: loading a model answers all of them, and fails if one fails."""

import shutil

import pytest
import tensorflow as tf
from google.protobuf import text_format
from grpc import StatusCode
from tensorflow_serving.apis import prediction_log_pb2

from serving.server import saved_model, warmup
from serving.server.saved_model import SavedModel
from serving.server.servable import ServableId
from serving.server.status import StatusError


def log(text: str) -> prediction_log_pb2.PredictionLog:
    return text_format.Parse(text, prediction_log_pb2.PredictionLog())


ONE_EXAMPLE = "input { example_list { examples {} } }"
CLASSIFY = log(f'classify_log {{ request {{ model_spec {{ signature_name: "classify" }} {ONE_EXAMPLE} }} }}')
REGRESS = log(f'regress_log {{ request {{ model_spec {{ signature_name: "regress" }} {ONE_EXAMPLE} }} }}')


def load(path) -> SavedModel:
    return saved_model.load(ServableId("toy", 1), str(path))


def predict_log(request) -> prediction_log_pb2.PredictionLog:
    return prediction_log_pb2.PredictionLog(predict_log={"request": request})


@pytest.fixture
def ran(monkeypatch) -> list[str]:
    """Names of the signatures that were run."""
    names = []
    run = SavedModel.run

    def spy(self, signature, inputs, outputs, timeout_s):
        names.append(signature)
        return run(self, signature, inputs, outputs, timeout_s)

    monkeypatch.setattr(SavedModel, "run", spy)
    return names


def test_each_kind_of_request_is_answered(push, rank_request, ran):
    path = push(1, warmup=[predict_log(rank_request([1])), CLASSIFY, REGRESS, predict_log(rank_request([1, 2]))])

    load(path).close()

    assert ran == ["rank", "classify", "regress", "rank"]


def test_warmup_is_optional(toy, toy_models):
    assert warmup.replay(toy, str(toy_models[1])) == 0


def test_a_record_without_request_is_nothing(toy, push, ran):
    assert warmup.replay(toy, str(push(1, warmup=[prediction_log_pb2.PredictionLog(), CLASSIFY]))) == 2
    assert ran == ["classify"]


def failure(path) -> tuple[StatusCode, str]:
    with pytest.raises(StatusError) as error:
        load(path)
    return error.value.code, error.value.message.replace(str(path), "PATH")


def test_a_request_that_fails_fails_the_load(push, rank_request):
    wrong = rank_request([1])
    del wrong.inputs["age"]

    code, message = failure(push(1, warmup=[CLASSIFY, predict_log(wrong), REGRESS]))

    assert code == StatusCode.INVALID_ARGUMENT
    assert message.startswith(
        "warm-up record 2 of PATH/assets.extra/tf_serving_warmup_requests: input size does not match signature: 3!=4"
    )


def test_other_logs_cannot_be_replayed(push):
    path = push(1, warmup=[log("session_run_log {}")])

    assert failure(path) == (
        StatusCode.UNIMPLEMENTED,
        "warm-up record 1 of PATH/assets.extra/tf_serving_warmup_requests: "
        "Unsupported log_type for warmup: session_run_log",
    )


def test_what_is_no_prediction_log(push):
    path = push(1, warmup=[CLASSIFY])
    with tf.io.TFRecordWriter(str(path / warmup.REQUESTS_FILE)) as writer:
        writer.write(b"\xff")

    assert failure(path) == (
        StatusCode.INVALID_ARGUMENT,
        "warm-up record 1 of PATH/assets.extra/tf_serving_warmup_requests: "
        "expected a PredictionLog message, received something else",
    )


def test_what_is_no_tfrecord_file(push):
    path = push(1, warmup=[CLASSIFY])
    (path / warmup.REQUESTS_FILE).write_text("not a TFRecord file, but long enough to be one")

    code, message = failure(path)

    assert code == StatusCode.DATA_LOSS
    assert message.endswith("Please verify your warmup data is in TFRecord format.")


def test_a_file_that_ends_early(push):
    path = push(1, warmup=[CLASSIFY, REGRESS])
    file = path / warmup.REQUESTS_FILE
    file.write_bytes(file.read_bytes()[:-3])

    assert failure(path)[0] == StatusCode.DATA_LOSS


def test_at_most_1000_records(toy, push, monkeypatch):
    monkeypatch.setattr(warmup, "MAX_RECORDS", 2)
    path = push(1, warmup=[CLASSIFY] * 2)
    assert warmup.replay(toy, str(path)) == 2

    shutil.rmtree(path)
    with pytest.raises(StatusError, match=r"^Number of warmup records exceeds the maximum \(2\) at "):
        warmup.replay(toy, str(push(1, warmup=[CLASSIFY] * 3)))
