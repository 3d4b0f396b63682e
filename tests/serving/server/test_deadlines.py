"""Deadlines: a client's time limit may be none, long, or longer than any clock can tell."""

import math

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    input_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from serving.client import Client
from serving.server import Server, ServerOptions
from serving.tensor_proto import fill_content, to_array
from tests.serving.asking import wait_until

TIMEOUT_S = 60
MANY = 5000
"""More values than are computed in the thread that has the request, which knows no limit."""
NONE = 9.2e18
"""What gRPC says that is left of a call without a deadline."""


def examples():
    example = tf.train.Example(features={"feature": {"age": {"float_list": {"value": [1.0]}}}})
    return input_pb2.Input(example_list={"examples": [example] * MANY})


def rank(rank_request):
    return rank_request(list(range(MANY)))


def serving_default(rank_request):
    request = predict_pb2.PredictRequest(model_spec={"name": "toy"})
    fill_content(request.inputs["examples"], np.array([b""] * MANY, object))
    return request


def classify(rank_request):
    spec = {"name": "toy", "signature_name": "classify"}
    return classification_pb2.ClassificationRequest(model_spec=spec, input=examples())


def regress(rank_request):
    return regression_pb2.RegressionRequest(model_spec={"name": "toy", "signature_name": "regress"}, input=examples())


def multi_inference(rank_request):
    tasks = [
        {"model_spec": {"name": "toy", "signature_name": name}, "method_name": f"tensorflow/serving/{name}"}
        for name in ("classify", "regress")
    ]
    return inference_pb2.MultiInferenceRequest(tasks=tasks, input=examples())


def rows(response) -> list[int]:
    """How many rows each result of an answer has."""
    match response:
        case predict_pb2.PredictResponse():
            return [len(to_array(tensor)) for tensor in response.outputs.values()]
        case classification_pb2.ClassificationResponse():
            return [len(response.result.classifications)]
        case regression_pb2.RegressionResponse():
            return [len(response.result.regressions)]
    return [
        len(result.classification_result.classifications) + len(result.regression_result.regressions)
        for result in response.results
    ]


REQUESTS = {
    rank: "Predict",
    serving_default: "Predict",
    classify: "Classify",
    regress: "Regress",
    multi_inference: "MultiInference",
}


@pytest.fixture(scope="module")
def server(toy_models):
    with Server(ServerOptions("toy", str(toy_models[1].parent))) as server:
        server.wait_until_available(math.inf)
        yield server


@pytest.fixture(scope="module")
def stub(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.mark.parametrize("timeout_s", [None, TIMEOUT_S, 1e9])
@pytest.mark.parametrize("made", REQUESTS)
def test_a_request_about_many_rows_is_answered(stub, rank_request, made, timeout_s):
    response = getattr(stub, REQUESTS[made])(made(rank_request), timeout=timeout_s)
    assert set(rows(response)) == {MANY}


@pytest.mark.parametrize("left_s", [None, NONE, math.inf, 3.6e11, 1e15, 400 * 86400])
def test_no_time_that_is_left_is_too_long(toy, left_s):
    many = {"examples": np.array([b""] * MANY, object)}
    (logits,) = toy.run("serving_default", many, ["logit"], left_s)
    assert len(logits) == MANY


def test_batches_have_no_limit_without_a_deadline(toy_models, rank_request):
    options = ServerOptions("toy", str(toy_models[1].parent), enable_batching=True)
    with Server(options) as server, grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        server.wait_until_available(TIMEOUT_S)
        predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
        request = predict_pb2.PredictRequest(model_spec={"name": "toy"})
        fill_content(request.inputs["examples"], np.array([b""] * 1000, object))
        assert rows(predict(request)) == [1000, 1000]


@pytest.mark.parametrize("timeout_s", [1e9, 1e15, NONE, math.inf])
def test_a_client_that_would_wait_forever_gets_its_answer(server, timeout_s):
    with Client(f"127.0.0.1:{server.port}", "toy", timeout_s) as client:
        assert client.wait_until_available(timeout_s) == 3
        assert len(client.rank({"user": "ann"}, {"item": list(range(MANY))})) == MANY


@pytest.mark.parametrize("timeout_s", [0, -1, math.nan])
def test_a_client_waits_for_some_time(timeout_s):
    with pytest.raises(ValueError, match=r"timeout_s: expected a positive number of seconds, received"):
        Client("nowhere", "toy", timeout_s)


def test_a_server_that_looks_for_versions_once_in_an_age_does_what_it_is_told(push, base_path):
    push(1)
    options = ServerOptions("toy", str(base_path), file_system_poll_wait_seconds=1e15)
    with Server(options) as server:
        assert server.wait_until_available(TIMEOUT_S) == 1
        push(2)
        server._core.configure(server._core._config)
        wait_until(lambda: server.wait_until_available(TIMEOUT_S) == 2)
