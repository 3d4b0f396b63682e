"""gRPC itself: TF Serving's server.cc, prediction_service_impl.cc and model_service_impl.cc."""

import grpc
import pytest
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import predict_pb2

from tests.serving.asking import TIMEOUT_S, error_of
from tests.serving.conformance.conftest import spec


def call(channel, method):
    """A method that takes bytes for a message and gives bytes."""
    return channel.unary_unary(f"/tensorflow.serving.{method}")


@pytest.mark.parametrize(
    "method",
    ["PredictionService/Explain", "ModelService/Predict", "SessionService/SessionRun", "Nothing/Predict"],
)
def test_methods_that_there_are_not(channel, prediction, method):
    assert error_of(call(channel, method), b"")[0] == StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    "method",
    [
        *(f"PredictionService/{name}" for name in ("Predict", "Classify", "Regress", "MultiInference")),
        "PredictionService/GetModelMetadata",
        "ModelService/GetModelStatus",
        "ModelService/HandleReloadConfigRequest",
    ],
)
@pytest.mark.parametrize("message", [b"\xff", b"\x0a\x7fshort", b"\x00\x01"])
def test_what_is_no_message(channel, prediction, method, message):
    assert error_of(call(channel, method), message)[0] == StatusCode.INTERNAL

    request = predict_pb2.PredictRequest(model_spec=spec("linear"))
    request.inputs["x"].dtype = 1
    assert prediction.Predict(request, timeout=TIMEOUT_S).model_spec.version.value == 2


def test_fields_that_are_unknown_are_ignored(channel, prediction):
    request = predict_pb2.PredictRequest(model_spec=spec("linear"))
    request.inputs["x"].dtype = 1
    unknown = b"\xfa\x7f\x03abc"  # field 2047, of 3 bytes

    answer = call(channel, "PredictionService/Predict")(request.SerializeToString() + unknown, timeout=TIMEOUT_S)

    assert predict_pb2.PredictResponse.FromString(answer).model_spec.version.value == 2


@pytest.mark.parametrize("service", ["", "ModelService", "PredictionService"])
def test_health(channel, prediction, service):
    request = health_pb2.HealthCheckRequest(service=service)

    response = health_pb2_grpc.HealthStub(channel).Check(request, timeout=TIMEOUT_S)

    assert response.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("service", ["Nothing", "tensorflow.serving.PredictionService"])
def test_health_of_what_there_is_not(channel, prediction, service):
    request = health_pb2.HealthCheckRequest(service=service)

    assert error_of(health_pb2_grpc.HealthStub(channel).Check, request)[0] == StatusCode.NOT_FOUND


def test_many_clients_at_once(target, prediction):
    request = predict_pb2.PredictRequest(model_spec=spec("linear"))
    request.inputs["x"].dtype = 1
    answers = [prediction.Predict.future(request, timeout=TIMEOUT_S) for _ in range(200)]

    assert {answer.result().model_spec.version.value for answer in answers} == {2}


def test_a_channel_of_its_own(target, prediction):
    request = predict_pb2.PredictRequest(model_spec=spec("linear"))
    request.inputs["x"].dtype = 1
    with grpc.insecure_channel(target.grpc) as channel:
        predict = call(channel, "PredictionService/Predict")

        assert predict(request.SerializeToString(), timeout=TIMEOUT_S)
