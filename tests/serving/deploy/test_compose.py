"""compose.yaml: valid by the Compose Specification, with a command that the embedded server accepts."""

import json
import shutil
import urllib.request
from pathlib import Path

import grpc
import jsonschema
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from tensorflow_serving.apis import prediction_service_pb2_grpc

from serving.client import Client
from serving.rollout import Rollout
from serving.server import Server, ServerOptions
from serving.server.__main__ import main
from tests.serving.asking import error_of, wait_until
from tests.serving.deploy.files import DEPLOY, composed, flags, settings

TIMEOUT_S = 60
SCHEMA = get_builtin_schema("vendor.compose-spec")


def test_it_is_valid():
    jsonschema.validate(yaml.safe_load((DEPLOY / "compose.yaml").read_text()), SCHEMA)


def test_a_mistake_is_found():
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    (service,) = compose["services"].values()
    service["deploy"]["resources"]["reservations"]["device"] = []

    with pytest.raises(jsonschema.ValidationError, match="'device' does not match"):
        jsonschema.validate(compose, SCHEMA)


def test_it_gets_the_image_and_a_gpu():
    service = composed()

    assert service["image"] == settings()["TF_SERVING_IMAGE"] + "-gpu"
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_it_may_do_nothing_but_serve():
    service = composed()

    assert service["user"] == "1000:1000"
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert [volume["target"] for volume in service["volumes"] if volume["read_only"]] == ["/models", "/etc/tf-serving"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_volumes_are_folders_of_the_repository():
    models, configuration = composed()["volumes"]

    assert (DEPLOY / models["source"]).resolve().name == "runs"
    assert (DEPLOY / configuration["source"] / "models.config").exists()


@pytest.fixture
def options(tmp_path, push, base_path):
    """What the service's command says to the embedded server; only its folders and ports are others."""
    configuration = shutil.copytree(DEPLOY / "config", tmp_path / "config")
    models = configuration / "models.config"
    models.write_text(models.read_text().replace("/models/", f"{tmp_path}/runs/"))
    (tmp_path / "runs" / settings()["MODEL_NAME"]).mkdir(parents=True)
    (tmp_path / "runs" / settings()["MODEL_NAME"] / "serving").symlink_to(base_path)
    push(1)
    command = [argument.replace("/etc/tf-serving", str(configuration)) for argument in composed()["command"]]
    return ServerOptions(**main.make_context("server", command).params | {"port": 0, "rest_api_port": 0})


@pytest.fixture
def served(options):
    """The embedded server, started so; the model is there."""
    with Server(options) as server, Client(f"127.0.0.1:{server.port}", settings()["MODEL_NAME"]) as client:
        client.wait_until_available(TIMEOUT_S)
        yield server


def test_the_model_is_served_healthy_and_measured(served):
    name = settings()["MODEL_NAME"]
    with Client(f"127.0.0.1:{served.port}", name) as client:
        assert client.rank({"user": "ann"}, {"item": [1, 2]})[0].index == 1

    def get(path):
        with urllib.request.urlopen(f"http://127.0.0.1:{served.rest_api_port}{path}") as answer:
            return answer.read().decode()

    healthy = composed()["healthcheck"]["test"][-1]
    assert json.loads(get(healthy.removeprefix("http://localhost:8501")))["model_spec"]["name"] == name
    assert f'request_count{{model_name="{name}",status="OK"}}' in get("/monitoring/prometheus/metrics")


def test_a_model_that_asks_for_it_is_batched(tmp_path, base_path, served, rank_request):
    """TF Serving then wants as many rows of each input, which the client gets to know."""
    name = settings()["MODEL_NAME"]
    asking = tmp_path / "asking"
    shutil.copytree(base_path / "1", asking)
    shutil.copy(DEPLOY / "config" / "batching_params.pbtxt", asking)
    asking.rename(base_path / "2")
    request = rank_request([1, 2])
    request.model_spec.name = name

    target = f"127.0.0.1:{served.port}"
    with Client(target, name) as client, grpc.insecure_channel(target) as channel:
        client.wait_until_available(TIMEOUT_S, version=2)
        predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
        assert error_of(predict, request) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "Batching Run() input tensors must have equal 0th-dimension size",
        )
        assert client.rank({"user": "ann"}, {"item": [1, 2]})[0].index == 1


def test_labels_that_were_moved_are_there_when_the_server_starts_again(served, options, push):
    push(2)
    name, file = settings()["MODEL_NAME"], Path(options.model_config_file)
    with Rollout([f"127.0.0.1:{served.port}"], name, "", file) as rollout:
        labels = rollout.canary(2)
    assert labels == {"stable": 1, "canary": 2}

    served.stop()
    with (
        Server(options) as again,
        Client(f"127.0.0.1:{again.port}", name) as client,
        Rollout([f"127.0.0.1:{again.port}"], name, "", file) as rollout,
    ):
        wait_until(lambda: [status.state for status in client.status()] == ["AVAILABLE"] * 2)
        assert rollout.labels() == labels


def test_flags_are_written_once():
    command = composed()["command"]
    assert len(flags(command)) == len(command)
