"""The server that the suite calls: one that is already running, or else the embedded one, which the suite starts.

The suite only knows the server's two ports. It expects what TF Serving's sources say, and both servers must pass.
"""

import http.client
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import portpicker
import pytest
from tensorflow_serving.apis import get_model_status_pb2, model_pb2, model_service_pb2_grpc, prediction_service_pb2_grpc
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from tests.serving.asking import TIMEOUT_S, wait_until
from tests.serving.conformance import models

_State = get_model_status_pb2.ModelVersionStatus.State


@dataclass(frozen=True)
class Target:
    """A server, and where it has the models.

    Attributes:
        grpc: host:port.
        rest: host:port.
        mounted_at: the models' folder as the server sees it.
    """

    grpc: str
    rest: str
    mounted_at: str


@dataclass(frozen=True)
class Answer:
    """What comes back over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The message of an answer that says nothing but what was wrong."""
        content = self.json
        assert content.keys() == {"error"}
        return content["error"]


class Rest:
    """Asks over HTTP."""

    def __init__(self, address: str) -> None:
        self._address = address

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def post(self, path: str, body: Any) -> Answer:
        """Sends a text as it is, and anything else as JSON."""
        return self.ask("POST", path, body if isinstance(body, str | bytes) else json.dumps(body))

    def ask(self, method: str, path: str, body: str | bytes | Iterator[bytes] | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection(self._address, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()


def spec(name: str, version: int | None = None, label: str | None = None, signature: str = "") -> model_pb2.ModelSpec:
    """A ModelSpec, of the latest version if it says none."""
    result = model_pb2.ModelSpec(name=name, signature_name=signature, version_label=label)
    if version is not None:
        result.version.value = version
    return result


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The server."""
    options = request.config.option
    if options.target or options.rest_target:
        if not (options.target and options.rest_target):
            pytest.exit("--target and --rest-target: expected both of the server's addresses, got one")
        yield Target(options.target, options.rest_target, options.mounted_at)
        return
    folder = tmp_path_factory.mktemp("conformance")
    models.write(folder, str(folder))
    port, rest_port = portpicker.pick_unused_port(), portpicker.pick_unused_port()
    flags = {
        "port": port,
        "rest_api_port": rest_port,
        "model_config_file": folder / "models.config",
        "monitoring_config_file": folder / "monitoring.config",
        "enable_batching": "true",
        "batching_parameters_file": folder / "batching.config",
        "enable_per_model_batching_parameters": "true",
        "allow_version_labels_for_unavailable_models": "true",
        "enable_grpc_healthcheck_service": "true",
        "max_num_load_retries": 0,
    }
    command = [sys.executable, "-m", "serving.server", *(f"--{flag}={value}" for flag, value in flags.items())]
    with (folder / "server.log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield Target(f"127.0.0.1:{port}", f"127.0.0.1:{rest_port}", str(folder))
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def channel(target: Target) -> Iterator[grpc.Channel]:
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(target.grpc, unlimited) as channel:
        yield channel


@pytest.fixture(scope="session")
def model_service(channel: grpc.Channel, server_config: ModelServerConfig) -> model_service_pb2_grpc.ModelServiceStub:
    """The models' service, of a server that serves all that it should."""
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    request = get_model_status_pb2.GetModelStatusRequest()

    def served(name: str) -> bool:
        request.model_spec.name = name
        try:
            response = stub.GetModelStatus(request, timeout=TIMEOUT_S, wait_for_ready=True)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:  # not yet
                return False
            raise
        states = {status.state for status in response.model_version_status}
        return states == {_State.Value("AVAILABLE")}

    wait_until(lambda: all(served(model.name) for model in server_config.model_config_list.config))
    return stub


@pytest.fixture(scope="session")
def prediction(
    channel: grpc.Channel, model_service: model_service_pb2_grpc.ModelServiceStub
) -> prediction_service_pb2_grpc.PredictionServiceStub:
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="session")
def rest(target: Target, model_service: model_service_pb2_grpc.ModelServiceStub) -> Rest:
    return Rest(target.rest)


@pytest.fixture(scope="session")
def server_config(target: Target) -> ModelServerConfig:
    """What the server was configured with when it started."""
    return models.server_config(target.mounted_at)


@pytest.fixture(scope="session")
def states(model_service: model_service_pb2_grpc.ModelServiceStub) -> Callable[[str], dict[int, str]]:
    """The states of a model's versions, in the order in which the server lists them; none if it never was there."""

    def states(name: str) -> dict[int, str]:
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=spec(name))
        try:
            response = model_service.GetModelStatus(request, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return {}
            raise
        return {status.version: _State.Name(status.state) for status in response.model_version_status}

    return states
