"""TLS, grpc.health.v1, gRPC's options, and more requests than the server has room for."""

import threading

import grpc
import pytest
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import get_model_status_pb2, model_pb2, model_service_pb2_grpc

from serving.server import ConfigFileError, Server, ServerOptions, server
from tests.serving.asking import wait_until
from tests.serving.certificates import pem, signed

TIMEOUT_S = 30


def status_of(channel):
    """The status of a call about a model that is not there, over a channel."""
    request = get_model_status_pb2.GetModelStatusRequest(model_spec=model_pb2.ModelSpec(name="none"))
    with channel, pytest.raises(grpc.RpcError) as error:
        model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request, timeout=TIMEOUT_S)
    return error.value.code()


def options(base_path, **changes):
    return ServerOptions("toy", str(base_path), **changes)


def test_tls(base_path, ssl_config_file, authority):
    with Server(options(base_path, ssl_config_file=ssl_config_file())) as served:
        target = f"localhost:{served.port}"
        trusting = grpc.ssl_channel_credentials(pem(authority[2]))
        assert status_of(grpc.secure_channel(target, trusting)) == StatusCode.NOT_FOUND
        assert status_of(grpc.insecure_channel(target)) == StatusCode.UNAVAILABLE
        distrusting = grpc.ssl_channel_credentials(pem(signed("another")[2]))
        assert status_of(grpc.secure_channel(target, distrusting)) == StatusCode.UNAVAILABLE


def test_mutual_tls(base_path, ssl_config_file, authority):
    trusted = pem(authority[2])
    file = ssl_config_file(client_verify=True, custom_ca=trusted.decode())
    key, _, certificate = signed("client", authority)
    with Server(options(base_path, ssl_config_file=file)) as served:
        target = f"localhost:{served.port}"
        known = grpc.ssl_channel_credentials(trusted, key, pem(certificate))
        assert status_of(grpc.secure_channel(target, known)) == StatusCode.NOT_FOUND
        nobody = grpc.ssl_channel_credentials(trusted)
        assert status_of(grpc.secure_channel(target, nobody)) == StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"server_key": ""}, "expected server_key and server_cert as PEM text"),
        ({"client_verify": True}, "expected custom_ca, by which clients are verified, received none"),
    ],
)
def test_tls_without_what_it_takes(base_path, ssl_config_file, changes, message):
    with pytest.raises(ConfigFileError, match=message):
        Server(options(base_path, ssl_config_file=ssl_config_file(**changes))).start()


@pytest.mark.parametrize("service", ["", "ModelService", "PredictionService"])
def test_health(base_path, service):
    request = health_pb2.HealthCheckRequest(service=service)
    with Server(options(base_path, enable_grpc_healthcheck_service=True)) as served:
        with grpc.insecure_channel(f"127.0.0.1:{served.port}") as channel:
            response = health_pb2_grpc.HealthStub(channel).Check(request, timeout=TIMEOUT_S)
        assert response.status == health_pb2.HealthCheckResponse.SERVING
    with (
        Server(options(base_path)) as served,
        grpc.insecure_channel(f"127.0.0.1:{served.port}") as channel,
        pytest.raises(grpc.RpcError) as error,
    ):
        health_pb2_grpc.HealthStub(channel).Check(request, timeout=TIMEOUT_S)
    assert error.value.code() == StatusCode.UNIMPLEMENTED


def test_channel_arguments_go_before_ours(base_path):
    few = "grpc.max_receive_message_length=10,grpc.primary_user_agent=toy"
    request = get_model_status_pb2.GetModelStatusRequest(model_spec=model_pb2.ModelSpec(name="a" * 100))
    with (
        Server(options(base_path, grpc_channel_arguments=few)) as served,
        grpc.insecure_channel(f"127.0.0.1:{served.port}") as channel,
        pytest.raises(grpc.RpcError) as error,
    ):
        model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request, timeout=TIMEOUT_S)
    assert error.value.code() == StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(ConfigFileError, match="--grpc_channel_arguments: expected key=value, received 'toy'"):
        Server(options(base_path, grpc_channel_arguments="toy")).start()


@pytest.fixture
def held(base_path, push, monkeypatch):
    """A server whose model answers only once `go_on` is set, and notes how often it is asked."""
    push(1)
    with Server(options(base_path)) as served:
        served.wait_until_available(TIMEOUT_S)
        loaded = served._manager._published["toy", 1].servable
        run, go_on, asked = loaded.run, threading.Event(), []

        def wait_and_run(*arguments):
            asked.append(arguments)
            go_on.wait(TIMEOUT_S)
            return run(*arguments)

        monkeypatch.setattr(loaded, "run", wait_and_run)
        with grpc.insecure_channel(f"127.0.0.1:{served.port}") as channel:
            yield channel.unary_unary("/tensorflow.serving.PredictionService/Predict"), go_on, asked
        go_on.set()


def test_requests_beyond_what_fits_are_refused(monkeypatch, request, rank_request):
    monkeypatch.setattr(server, "_MAX_REQUESTS", 8)
    predict, go_on, _ = request.getfixturevalue("held")
    message = rank_request([1]).SerializeToString()
    calls = [predict.future(message, timeout=TIMEOUT_S) for _ in range(50)]
    wait_until(lambda: sum(call.done() for call in calls) == 42)
    refused = [call for call in calls if call.done()]
    go_on.set()

    assert {call.code() for call in refused} == {StatusCode.RESOURCE_EXHAUSTED}
    assert [call.code() for call in calls if call not in refused] == [StatusCode.OK] * 8
    assert predict(message, timeout=TIMEOUT_S)


def test_a_request_whose_deadline_passed_while_it_waited_is_not_computed(held, rank_request):
    """Threads for so many are there; the others wait."""
    predict, go_on, asked = held
    message = rank_request([1]).SerializeToString()
    first = [predict.future(message, timeout=TIMEOUT_S) for _ in range(server.GRPC_THREADS)]
    wait_until(lambda: len(asked) == server.GRPC_THREADS)
    late = [predict.future(message, timeout=0.2) for _ in range(5)]
    assert [call.code() for call in late] == [StatusCode.DEADLINE_EXCEEDED] * 5
    go_on.set()
    assert [call.code() for call in first] == [StatusCode.OK] * server.GRPC_THREADS
    assert predict(message, timeout=TIMEOUT_S)
    assert len(asked) == server.GRPC_THREADS + 1
