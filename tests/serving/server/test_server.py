"""The whole server in process: requests over gRPC, versions that come and go."""

import shutil
import socket
import threading
import time

import grpc
import numpy as np
import pytest
from grpc import StatusCode
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

from serving.server import LoadError, NotAvailableError, PortError, Server, ServerOptions
from serving.server.saved_model import SavedModel
from serving.tensor_proto import fill_content, to_array
from tests.serving.asking import TIMEOUT_S, error_of, wait_until

_State = get_model_status_pb2.ModelVersionStatus


class Caller:
    """Calls a server's gRPC services about the model "toy"."""

    def __init__(self, server: Server) -> None:
        unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self.channel = grpc.insecure_channel(f"127.0.0.1:{server.port}", unlimited)
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, *_) -> None:
        self.channel.close()

    def predict(self, request):
        return self.prediction.Predict(request, timeout=TIMEOUT_S)

    def status(self, version=None):
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=spec(version))
        return self.models.GetModelStatus(request, timeout=TIMEOUT_S).model_version_status

    def states(self):
        return {status.version: _State.State.Name(status.state) for status in self.status()}

    def wait_for(self, states):
        """Waits until the versions have these states."""
        wait_until(lambda: self.states() == states)


def spec(version=None, name="toy"):
    result = model_pb2.ModelSpec(name=name)
    if version is not None:
        result.version.value = version
    return result


def options(base_path, **changes) -> ServerOptions:
    defaults = {"file_system_poll_wait_seconds": 0.02, "max_num_load_retries": 0}
    return ServerOptions(model_name="toy", model_base_path=str(base_path), **{**defaults, **changes})


@pytest.fixture(scope="module")
def caller(toy_models):
    """A caller of a server of version 3."""
    with Server(options(toy_models[1].parent)) as server, Caller(server) as caller:
        assert server.wait_until_available(TIMEOUT_S) == 3
        yield caller


@pytest.fixture
def serve(base_path):
    """Starts a server on `base_path`, and stops it after the test."""
    running = []

    def serve(**changes) -> tuple[Server, Caller]:
        server = Server(options(base_path, **changes))
        server.start()
        running.append(server)
        return server, Caller(server)

    yield serve
    for server in running:
        server.stop()


def test_predict(caller, rank_request):
    """Version 3 has scale 0.3; ann (3) + 30 + item + one genre: 34 and 44."""
    response = caller.predict(rank_request([0, 10]))

    np.testing.assert_allclose(to_array(response.outputs["logit"]), [10.2, 13.2], rtol=1e-6)
    assert response.model_spec == model_pb2.ModelSpec(name="toy", version={"value": 3}, signature_name="rank")


def test_errors_have_their_status(caller, rank_request):
    unknown_signature = rank_request([1])
    unknown_signature.model_spec.signature_name = "rnk"
    unknown_model = predict_pb2.PredictRequest(model_spec=spec(name="toys"))
    unknown_version = predict_pb2.PredictRequest(model_spec=spec(9))

    predict = caller.prediction.Predict
    assert error_of(predict, unknown_signature) == (
        StatusCode.FAILED_PRECONDITION,
        'Serving signature key "rnk" not found.',
    )
    assert error_of(predict, unknown_model) == (
        StatusCode.NOT_FOUND,
        "Servable not found for request: Latest(toys)",
    )
    assert error_of(predict, unknown_version) == (
        StatusCode.NOT_FOUND,
        "Servable not found for request: Specific(toy, 9)",
    )
    assert error_of(predict, predict_pb2.PredictRequest()) == (StatusCode.INVALID_ARGUMENT, "Missing ModelSpec")


def test_long_messages_are_cut(caller):
    request = predict_pb2.PredictRequest(model_spec=spec())
    request.model_spec.signature_name = "x" * 2000

    _, message = error_of(caller.prediction.Predict, request)

    assert message == 'Serving signature key "' + "x" * (1024 - len('Serving signature key "')) + "...TRUNCATED"


def test_unforeseen_errors_do_not_show_the_code(caller, rank_request, monkeypatch, caplog):
    def fail(*_):
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(SavedModel, "run", fail)

    code, message = error_of(caller.prediction.Predict, rank_request([1]))

    assert (code, message) == (StatusCode.INTERNAL, "The server failed to answer; its log says why.")
    assert "secret detail" in caplog.text


def test_messages_beyond_4_mebibytes(caller):
    """Two million float32 are 8 MB, there and back."""
    request = predict_pb2.PredictRequest(model_spec=spec())
    request.model_spec.signature_name = "echo"
    floats = np.arange(2_000_000, dtype=np.float32).reshape(2, -1)
    tensors = {
        "strings": np.array([], object),
        "floats": floats,
        "ints": np.zeros(0, np.int64),
        "flag": np.array(False),
        "halves": np.zeros(0, np.float32).astype("bfloat16"),
    }
    for name, array in tensors.items():
        fill_content(request.inputs[name], array)

    np.testing.assert_array_equal(to_array(caller.predict(request).outputs["floats"]), floats)


def test_metadata(caller):
    request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec(), metadata_field=["signature_def"])
    response = caller.prediction.GetModelMetadata(request, timeout=TIMEOUT_S)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)

    assert response.model_spec == spec(3)
    assert set(signatures.signature_def["rank"].inputs) == {"user", "age", "item", "genres"}
    assert set(signatures.signature_def["rank"].outputs) == {"logit", "probability"}


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        ({}, StatusCode.INVALID_ARGUMENT, "Missing ModelSpec"),
        (
            {"model_spec": spec()},
            StatusCode.INVALID_ARGUMENT,
            "GetModelMetadataRequest must specify at least one metadata_field",
        ),
        (
            {"model_spec": spec(), "metadata_field": ["signature_def", "graph"]},
            StatusCode.INVALID_ARGUMENT,
            "Metadata field graph is not supported",
        ),
        (
            {"model_spec": spec(name="toys"), "metadata_field": ["signature_def"]},
            StatusCode.NOT_FOUND,
            "Servable not found for request: Latest(toys)",
        ),
    ],
)
def test_wrong_metadata_requests(caller, request_, code, message):
    request = get_model_metadata_pb2.GetModelMetadataRequest(**request_)

    assert error_of(caller.prediction.GetModelMetadata, request) == (code, message)


def test_status(caller):
    (status,) = caller.status()
    assert (status.version, status.state, status.status.error_code) == (3, _State.AVAILABLE, 0)
    assert status.HasField("status")
    assert list(caller.status(3)) == [status]


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        ({}, StatusCode.INVALID_ARGUMENT, "Missing ModelSpec"),
        ({"model_spec": spec(4)}, StatusCode.NOT_FOUND, "Could not find version 4 of model toy"),
        (
            {"model_spec": spec(name="toys")},
            StatusCode.NOT_FOUND,
            "Could not find any versions of model toys",
        ),
    ],
)
def test_wrong_status_requests(caller, request_, code, message):
    request = get_model_status_pb2.GetModelStatusRequest(**request_)

    assert error_of(caller.models.GetModelStatus, request) == (code, message)


def test_a_first_version_may_be_long_in_coming(base_path, push, serve):
    base_path.rmdir()
    server, caller = serve()
    with pytest.raises(NotAvailableError, match=f"^model toy was not available after 0 s; base path: {base_path}$"):
        server.wait_until_available(0)
    base_path.mkdir()
    (base_path / "not_a_version").mkdir()
    push(1, "0007")

    assert server.wait_until_available(TIMEOUT_S) == 7
    assert caller.states() == {7: "AVAILABLE"}


def test_swap_under_load_without_a_failed_request(push, serve, rank_request):
    """Clients see versions 1, 2, 3, 4 in order, and each answer fits the version that it says it is from."""
    push(1, "1")
    server, caller = serve()
    server.wait_until_available(TIMEOUT_S)
    seen, failures, done = [], [], threading.Event()

    def ask():
        versions = []
        try:
            while not done.is_set():
                response = caller.predict(rank_request([6]))
                version = response.model_spec.version.value
                # Version 4 is the first model again. ann (3) + 30 + 6 + one genre = 40.
                expected = 40 * {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.1}[version]
                assert to_array(response.outputs["logit"]) == pytest.approx([expected])
                versions.append(version)
        except Exception as error:
            failures.append(error)
        seen.append(versions)

    clients = [threading.Thread(target=ask) for _ in range(8)]
    for client in clients:
        client.start()
    for version, model in ((2, 2), (3, 3), (4, 1)):
        push(model, str(version))
        caller.wait_for({version: "AVAILABLE", **dict.fromkeys(range(1, version), "END")})
    done.set()
    for client in clients:
        client.join()

    assert failures == []
    assert all(versions == sorted(versions) for versions in seen)
    assert {version for versions in seen for version in versions} == {1, 2, 3, 4}


def test_warmup_is_replayed_before_a_version_is_published(push, serve, rank_request, monkeypatch):
    push(1)
    server, caller = serve()
    server.wait_until_available(TIMEOUT_S)
    during_warmup, run = [], SavedModel.run

    def spy(self, *args):
        if self.id.version == 2:
            latest = caller.predict(rank_request([1])).model_spec.version.value if not during_warmup else None
            during_warmup.append((latest, caller.states()))
        return run(self, *args)

    monkeypatch.setattr(SavedModel, "run", spy)
    push(2, warmup=[prediction_log_pb2.PredictionLog(predict_log={"request": rank_request([1, 2, 3])})])
    caller.wait_for({2: "AVAILABLE", 1: "END"})

    assert during_warmup == [(1, {2: "LOADING", 1: "AVAILABLE"})]


def test_a_broken_version_leaves_the_old_one_serving(base_path, push, serve, rank_request):
    push(1)
    server, caller = serve()
    server.wait_until_available(TIMEOUT_S)
    (base_path / "2").mkdir()
    caller.wait_for({2: "END", 1: "AVAILABLE"})

    broken = caller.status()[0].status
    assert broken.error_code == 5
    assert broken.error_message.startswith("Could not find SavedModel .pb or .pbtxt at supplied export directory path")
    assert caller.predict(rank_request([1])).model_spec.version.value == 1
    shutil.rmtree(base_path / "2")
    push(3)
    caller.wait_for({3: "AVAILABLE", 2: "END", 1: "END"})


def test_a_failing_warmup_request_fails_the_version_with_a_reason(push, serve, rank_request):
    wrong = rank_request([1])
    wrong.model_spec.signature_name = "rnk"
    push(1, warmup=[prediction_log_pb2.PredictionLog(predict_log={"request": wrong})])
    server, caller = serve()

    with pytest.raises(LoadError, match=r'warm-up record 1 of .*: Serving signature key "rnk" not found\.$'):
        server.wait_until_available(TIMEOUT_S)
    assert caller.states() == {1: "END"}


def test_a_removed_version_falls_back(base_path, push, serve, rank_request):
    push(1)
    push(2)
    server, caller = serve()
    assert server.wait_until_available(TIMEOUT_S) == 2
    shutil.rmtree(base_path / "2")
    caller.wait_for({2: "END", 1: "AVAILABLE"})

    assert caller.predict(rank_request([1])).model_spec.version.value == 1


def test_a_missing_base_path_takes_nothing_away(base_path, push, serve, rank_request, caplog):
    push(1)
    server, caller = serve()
    server.wait_until_available(TIMEOUT_S)
    base_path.rename(base_path.with_name("gone"))
    wait_until(lambda: "does not exist" in caplog.text)

    assert caller.states() == {1: "AVAILABLE"}


def test_zero_looks_once(push, serve):
    push(1)
    server, caller = serve(file_system_poll_wait_seconds=0)
    server.wait_until_available(TIMEOUT_S)
    push(2)
    time.sleep(0.2)

    assert caller.states() == {1: "AVAILABLE"}


def test_a_port_that_is_taken(base_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for flag, ports in (("--port", {"port": port}), ("--rest_api_port", {"rest_api_port": port})):
            with pytest.raises(PortError, match=f"cannot listen on 127.0.0.1:{port}: .* with {flag}\\."):
                Server(options(base_path, **ports)).start()


def test_two_servers_do_not_share_a_port(base_path, serve):
    server, _ = serve()

    with pytest.raises(PortError):
        Server(options(base_path, port=server.port)).start()


def test_stopping_finishes_what_was_asked(push, serve, rank_request, monkeypatch):
    push(1)
    server, caller = serve()
    server.wait_until_available(TIMEOUT_S)
    entered, leave, run = threading.Event(), threading.Event(), SavedModel.run

    def slow(self, *args):
        entered.set()
        leave.wait(TIMEOUT_S)
        return run(self, *args)

    monkeypatch.setattr(SavedModel, "run", slow)
    answer = caller.prediction.Predict.future(rank_request([1]), timeout=TIMEOUT_S)
    entered.wait(TIMEOUT_S)
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    leave.set()
    stopping.join()

    assert answer.result().model_spec.version.value == 1
    server.stop()  # again: nothing


def test_a_server_that_was_not_started_has_no_port(base_path):
    with pytest.raises(RuntimeError, match="the server is not started"):
        Server(options(base_path)).port  # noqa: B018


def test_multi_inference(caller):
    """Of no task nothing is known of the model."""
    spec_of_task = model_pb2.ModelSpec(name="toy", signature_name="regress")
    request = inference_pb2.MultiInferenceRequest(
        tasks=[{"model_spec": spec_of_task, "method_name": "tensorflow/serving/regress"}]
    )
    request.input.example_list.examples.add().features.feature["item"].int64_list.value.append(10)
    (result,) = caller.prediction.MultiInference(request, timeout=TIMEOUT_S).results

    # Version 3 has scale 0.3.
    assert [regression.value for regression in result.regression_result.regressions] == pytest.approx([3.0])
    assert error_of(caller.prediction.MultiInference, inference_pb2.MultiInferenceRequest()) == (
        StatusCode.INVALID_ARGUMENT,
        "ModelSpec has no name specified.",
    )
