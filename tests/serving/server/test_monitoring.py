"""Metrics: their format and their counts."""

import http.client
import json

import grpc
import pytest
from tensorflow_serving.apis import (
    inference_pb2,
    input_pb2,
    model_pb2,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

from serving.server import ConfigFileError, Server, ServerOptions, monitoring
from serving.server.monitoring import Counter, Sampler


@pytest.fixture(autouse=True)
def no_new_metrics(monkeypatch):
    """Metrics that a test defines are not on the page after it."""
    monkeypatch.setattr(monitoring, "_metrics", list(monitoring._metrics))


def test_a_counter():
    counter = Counter("/test/path-1/total", "name")
    counter.add(2, "abc")
    counter.add(1, 'a\\b"c\n')

    assert list(counter.lines()) == [':test:path:1:total{name="a\\\\b\\"c\\n"} 1', ':test:path:1:total{name="abc"} 2']
    assert '# TYPE :test:path:1:total counter\n:test:path:1:total{name="a' in monitoring.page()


def test_a_histogram():
    sampler = Sampler("/test/path/histogram", "status", scale=1, growth=2, limits=10)
    for size in (2, 20, 200):
        sampler.add(size, "good")

    assert "\n".join(sampler.lines()) == (
        """:test:path:histogram_bucket{status="good",le="1"} 0
:test:path:histogram_bucket{status="good",le="2"} 0
:test:path:histogram_bucket{status="good",le="4"} 1
:test:path:histogram_bucket{status="good",le="8"} 1
:test:path:histogram_bucket{status="good",le="16"} 1
:test:path:histogram_bucket{status="good",le="32"} 2
:test:path:histogram_bucket{status="good",le="64"} 2
:test:path:histogram_bucket{status="good",le="128"} 2
:test:path:histogram_bucket{status="good",le="256"} 3
:test:path:histogram_bucket{status="good",le="512"} 3
:test:path:histogram_bucket{status="good",le="+Inf"} 3
:test:path:histogram_sum{status="good"} 222
:test:path:histogram_count{status="good"} 3"""
    )


def test_a_metric_without_labels():
    sampler = Sampler("/test/size", scale=1, growth=2, limits=1)
    sampler.add(3)

    assert list(sampler.lines()) == [
        ':test:size_bucket{le="1"} 0',
        ':test:size_bucket{le="+Inf"} 1',
        ":test:size_sum{} 3",
        ":test:size_count{} 1",
    ]


def test_clients_that_invent_names_take_no_more_memory(monkeypatch):
    monkeypatch.setattr(monitoring, "_MAX_CELLS", 2)
    counter = Counter("/test/count", "name")
    for name in "abcda":
        counter.add(1, name)

    assert list(counter.lines()) == [':test:count{name=""} 2', ':test:count{name="a"} 2', ':test:count{name="b"} 1']


def test_what_fails_has_no_runtime():
    def count():
        return sum(1 for line in monitoring.runtime_latency.lines() if 'model_name="failing"' in line)

    with pytest.raises(ValueError, match="no"), monitoring.runtime("failing", "Predict"):
        raise ValueError("no")
    assert count() == 0
    with monitoring.runtime("failing", "Predict"):
        pass
    assert count() == 36


CONFIG = "prometheus_config: { enable: true, path: '/metrics' }"


class Served:
    """A server with metrics on, asked over gRPC and REST."""

    def __init__(self, server: Server) -> None:
        self._rest = http.client.HTTPConnection("127.0.0.1", server.rest_api_port, timeout=60)
        self._channel = grpc.insecure_channel(f"127.0.0.1:{server.port}")
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def close(self) -> None:
        self._rest.close()
        self._channel.close()

    def ask(self, path: str, body: str | None = None) -> tuple[int, str | None, str]:
        self._rest.request("POST" if body else "GET", path, body)
        response = self._rest.getresponse()
        return response.status, response.headers["Content-Type"], response.read().decode()

    def values(self) -> dict[str, float]:
        """Every line of the page that is not a comment."""
        lines = self.ask("/metrics")[2].splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


@pytest.fixture
def serve(push, base_path, tmp_path, rank_request):
    """Starts a server of a model of that name, with two warm-up records."""
    running = []

    def serve(name: str, config: str = CONFIG) -> Served:
        file = tmp_path / "monitoring.txt"
        file.write_text(config)
        log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=rank_request([1])))
        push(1, warmup=[log, log])
        options = ServerOptions(
            model_name=name, model_base_path=str(base_path), rest_api_port=0, monitoring_config_file=str(file)
        )
        server = Server(options)
        server.start()
        running.append(server)
        server.wait_until_available(60)
        running.append(served := Served(server))
        return served

    yield serve
    for each in reversed(running):
        each.stop() if isinstance(each, Server) else each.close()


def test_requests_are_counted_however_they_come(serve, rank_request):
    served = serve("counted")
    request = rank_request([1, 2])
    request.model_spec.name = "counted"
    served.prediction.Predict(request, timeout=60)
    request.model_spec.signature_name = "rnk"
    for wrong in (request, predict_pb2.PredictRequest(model_spec=model_pb2.ModelSpec(name="uncounted"))):
        with pytest.raises(grpc.RpcError):
            served.prediction.Predict(wrong, timeout=60)
    inputs = {"user": ["ann"], "age": [30], "item": [1], "genres": [[""]]}
    served.ask("/v1/models/counted:predict", json.dumps({"signature_name": "rank", "inputs": inputs}))
    served.ask("/v1/models/counted:regress", "{")
    served.ask("/v1/models/counted")

    values = served.values()

    counts = {name: count for name, count in values.items() if ":request_count{" in name and 'counted"' in name}
    assert counts == {
        ':tensorflow:serving:request_count{model_name="counted",status="FAILED_PRECONDITION"}': 1,
        ':tensorflow:serving:request_count{model_name="counted",status="INVALID_ARGUMENT"}': 1,
        ':tensorflow:serving:request_count{model_name="counted",status="OK"}': 3,
        ':tensorflow:serving:request_count{model_name="uncounted",status="NOT_FOUND"}': 1,
    }
    for api, entrypoint in [("Predict", "GRPC"), ("predict", "REST"), ("", "REST")]:
        labels = f'model_name="counted",API="{api}",entrypoint="{entrypoint}"'
        assert values[f":tensorflow:serving:request_latency_count{{{labels}}}"] == 1
        assert values[f":tensorflow:serving:request_latency_sum{{{labels}}}"] > 0
    # Two requests, and two warm-up records.
    runtime = 'model_name="counted",API="Predict",runtime="TF1"'
    assert values[f":tensorflow:serving:runtime_latency_count{{{runtime}}}"] == 4


def test_loading_and_warming_up_are_measured(serve, base_path):
    values = serve("loaded").values()

    path = f'model_path="{base_path / "1"}"'
    assert values[f':tensorflow:cc:saved_model:load_attempt_count{{{path},status="success"}}'] == 1
    assert values[f":tensorflow:cc:saved_model:load_latency{{{path}}}"] > 0
    for stage in ("restore_graph", "init_graph"):
        assert values[f':tensorflow:cc:saved_model:load_latency_by_stage_count{{{path},stage="{stage}"}}'] == 1
    assert values[f':tensorflow:serving:model_warmup_records_read{{{path},status="OK"}}'] == 2
    assert values[f':tensorflow:serving:model_warmup_latency_count{{{path},status="OK"}}'] == 1


def test_examples_of_several_tasks_are_counted(serve):
    served = serve("tasks")
    request = inference_pb2.MultiInferenceRequest(input=input_pb2.Input())
    for method in ("classify", "regress"):
        task = request.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.name, task.model_spec.signature_name = "tasks", method
    for _ in range(3):
        request.input.example_list.examples.add()
    served.prediction.MultiInference(request, timeout=60)

    values = served.values()

    assert values[':tensorflow:serving:request_example_count_total{model="tasks"}'] == 3
    assert values[':tensorflow:serving:request_example_counts_bucket{model="tasks",le="4"}'] == 1


def test_the_page(serve):
    served = serve("page")

    status, content_type, page = served.ask("/metrics")
    assert (status, content_type) == (200, "text/plain")
    assert "\n# TYPE :tensorflow:serving:request_count counter\n" in page
    assert "\n# TYPE :tensorflow:serving:request_latency histogram\n" in page
    assert served.ask("/metrics?x=1") == (400, "text/plain", "Unexpected path: /metrics?x=1. Should be /metrics")
    assert served.ask(monitoring.PATH)[0] == 404


def test_the_usual_path(serve):
    assert serve("usual", "prometheus_config { enable: true }").ask(monitoring.PATH)[0] == 200


def test_no_page_unless_it_is_wanted(serve):
    assert serve("unwanted", "prometheus_config { path: '/metrics' }").ask("/metrics")[0] == 404


def test_a_file_that_is_something_else(tmp_path):
    file = tmp_path / "monitoring.txt"
    file.write_text("prometheus: true")
    with pytest.raises(
        ConfigFileError, match=r"monitoring.txt: expected MonitoringConfig in text format, received .*prometheus"
    ):
        Server(ServerOptions(rest_api_port=0, model_base_path="/", monitoring_config_file=str(file))).start()
