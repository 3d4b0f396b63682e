"""The page of metrics: TF Serving's http_server.cc, util/prometheus_exporter.cc and servables/tensorflow/util.cc."""

import re

import pytest
from grpc import StatusCode
from tensorflow_serving.apis import classification_pb2, inference_pb2, predict_pb2, regression_pb2

from tests.serving.asking import TIMEOUT_S, error_of
from tests.serving.conformance.conftest import spec

PATH = "/monitoring/prometheus/metrics"
SERVING = ":tensorflow:serving:"


@pytest.fixture
def increases(rest):
    """How much each line of TF Serving's has increased since the test began."""

    def values():
        lines = rest.get(PATH).body.decode().splitlines()
        pairs = (line.rpartition(" ") for line in lines if line.startswith(SERVING))
        return {name: float(value) for name, _, value in pairs}

    before = values()
    return lambda: {name: value - before.get(name, 0) for name, value in values().items() if value != before.get(name)}


@pytest.fixture
def examples():
    """A request's input of three examples."""
    return {"example_list": {"examples": [{}, {}, {}]}}


def predict_request(model_spec):
    request = predict_pb2.PredictRequest(model_spec=model_spec)
    request.inputs["x"].dtype = 1
    return request


def count(name, **labels):
    pairs = ",".join(f'{label}="{value}"' for label, value in labels.items())
    return f"{SERVING}{name}{{{pairs}}}"


def counts(increases, name):
    """Of a counter or a histogram: what came in, by the labels."""
    return {key: value for key, value in increases.items() if re.match(rf"{SERVING}{name}(_count)?\{{", key)}


def test_the_page(rest):
    answer = rest.get(PATH)
    lines = answer.body.decode().splitlines()

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain"
    assert answer.body.endswith(b"\n")
    assert f"# TYPE {SERVING}request_count counter" in lines
    assert f"# TYPE {SERVING}request_latency histogram" in lines
    assert f"# TYPE {SERVING}runtime_latency histogram" in lines
    ours = re.compile(rf'{SERVING}\w+\{{(\w+="[^"]*",?)*\}} [\d.e+]+')
    assert all(ours.fullmatch(line) for line in lines if line.startswith(SERVING))


def test_the_page_takes_no_query(rest):
    answer = rest.get(PATH + "?x=1")

    assert (answer.status, answer.body.decode()) == (400, f"Unexpected path: {PATH}?x=1. Should be {PATH}")


def test_predict_over_grpc(prediction, increases):
    prediction.Predict(predict_request(spec("linear", 1)), timeout=TIMEOUT_S)

    seen = increases()
    assert counts(seen, "request_count") == {count("request_count", model_name="linear", status="OK"): 1}
    assert counts(seen, "request_latency") == {
        count("request_latency_count", model_name="linear", API="Predict", entrypoint="GRPC"): 1
    }
    assert counts(seen, "runtime_latency") == {
        count("runtime_latency_count", model_name="linear", API="Predict", runtime="TF1"): 1
    }


def test_predict_over_rest(rest, increases):
    rest.post("/v1/models/linear:predict", {"instances": [1]})

    seen = increases()
    assert counts(seen, "request_count") == {count("request_count", model_name="linear", status="OK"): 1}
    assert counts(seen, "request_latency") == {
        count("request_latency_count", model_name="linear", API="predict", entrypoint="REST"): 1
    }
    assert counts(seen, "runtime_latency") == {
        count("runtime_latency_count", model_name="linear", API="Predict", runtime="TF1"): 1
    }


@pytest.mark.parametrize(
    ("method", "request_class", "signature"),
    [
        ("Classify", classification_pb2.ClassificationRequest, "classify"),
        ("Regress", regression_pb2.RegressionRequest, ""),
    ],
)
def test_examples_over_grpc(prediction, increases, examples, method, request_class, signature):
    request = request_class(model_spec=spec("examples", signature=signature), input=examples)
    getattr(prediction, method)(request, timeout=TIMEOUT_S)

    seen = increases()
    assert counts(seen, "request_count") == {count("request_count", model_name="examples", status="OK"): 1}
    assert counts(seen, "request_latency") == {
        count("request_latency_count", model_name="examples", API=method, entrypoint="GRPC"): 1
    }
    assert counts(seen, "runtime_latency") == {
        count("runtime_latency_count", model_name="examples", API=method, runtime="TF1"): 1
    }


def test_multi_inference_counts_its_examples_and_nothing_else(prediction, increases, examples):
    task = {"model_spec": spec("examples"), "method_name": "tensorflow/serving/regress"}
    prediction.MultiInference(inference_pb2.MultiInferenceRequest(tasks=[task], input=examples), timeout=TIMEOUT_S)

    seen = increases()
    assert counts(seen, "request_example_count_total") == {count("request_example_count_total", model="examples"): 3}
    assert counts(seen, "request_example_counts") == {count("request_example_counts_count", model="examples"): 1}
    for name in ("request_count", "request_latency", "runtime_latency"):
        assert counts(seen, name) == {}


@pytest.mark.parametrize(
    ("model_spec", "code"),
    [
        (spec("linear", 9), StatusCode.NOT_FOUND),
        (spec("linear", label="best"), StatusCode.INVALID_ARGUMENT),
        (spec("linear", signature="other"), StatusCode.FAILED_PRECONDITION),
    ],
    ids=str,
)
def test_what_is_refused_has_no_latency(prediction, increases, model_spec, code):
    assert error_of(prediction.Predict, predict_request(model_spec))[0] == code

    seen = increases()
    assert counts(seen, "request_count") == {count("request_count", model_name="linear", status=code.name): 1}
    assert counts(seen, "request_latency") == counts(seen, "runtime_latency") == {}


@pytest.mark.parametrize(
    ("method", "path", "model", "code"),
    [
        ("POST", "/v1/models/linear/versions/9:predict", "linear", StatusCode.INVALID_ARGUMENT),
        ("POST", "/v1/models/linear/versions/99999999999999999999:predict", "linear", StatusCode.INVALID_ARGUMENT),
        ("GET", "/v1/models/linear/versions/9", "linear", StatusCode.NOT_FOUND),
        ("GET", "/v1/foo", "", StatusCode.INVALID_ARGUMENT),
        ("GET", "/v1/models", "", StatusCode.INVALID_ARGUMENT),
        ("PUT", "/v1/models/linear", "", StatusCode.INVALID_ARGUMENT),
        ("OPTIONS", "/v1/models/linear:predict", "", StatusCode.FAILED_PRECONDITION),
    ],
)
def test_what_rest_refuses(rest, increases, method, path, model, code):
    assert rest.ask(method, path).status != 200

    seen = increases()
    assert counts(seen, "request_count") == {count("request_count", model_name=model, status=code.name): 1}
    assert counts(seen, "request_latency") == {}


@pytest.mark.parametrize(
    ("path", "model"),
    [("/v1/models/linear", "linear"), ("/v1/models/l%69near/metadata", "linear")],
)
def test_states_and_metadata_over_rest_count_as_requests(rest, increases, path, model):
    rest.get(path)

    seen = increases()
    assert counts(seen, "request_count") == {count("request_count", model_name=model, status="OK"): 1}
    assert counts(seen, "request_latency") == {
        count("request_latency_count", model_name=model, API="", entrypoint="REST"): 1
    }


def test_paths_that_are_not_the_apis_are_not_counted(rest, increases):
    assert rest.get("/").status == 404

    assert counts(increases(), "request_count") == {}


def test_buckets_of_latencies(prediction, rest):
    """The first is for what is below 10 µs, each further one 1.8 times as wide, and the last has no limit."""
    prediction.Predict(predict_request(spec("linear")), timeout=TIMEOUT_S)
    page = rest.get(PATH).body.decode()
    series = count("request_latency_bucket", model_name="linear", API="Predict", entrypoint="GRPC")[:-1]
    limits = re.findall(rf'^{re.escape(series)},le="(.*)"\}} \d+$', page, re.MULTILINE)

    assert limits[:3] == ["10", "18", "32.4"]
    assert limits[-1] == "+Inf"
    assert len(limits) == 34
