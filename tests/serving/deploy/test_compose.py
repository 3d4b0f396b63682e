"""compose.yaml is valid by the Compose Specification, and its command works, as far as the embedded server can say."""

import json
import shutil
import urllib.request

import grpc
import jsonschema
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema

from serving.client import CallError, Client
from serving.server import Server, ServerOptions
from serving.server.__main__ import main
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
def served(tmp_path, push, base_path):
    """The embedded server, started by the service's command; only its folders and ports are others."""
    configuration = shutil.copytree(DEPLOY / "config", tmp_path / "config")
    models = configuration / "models.config"
    models.write_text(models.read_text().replace("/models/", f"{tmp_path}/runs/"))
    (tmp_path / "runs" / settings()["MODEL_NAME"]).mkdir(parents=True)
    (tmp_path / "runs" / settings()["MODEL_NAME"] / "serving").symlink_to(base_path)
    push(1)
    command = [argument.replace("/etc/tf-serving", str(configuration)) for argument in composed()["command"]]
    options = main.make_context("server", command).params | {"port": 0, "rest_api_port": 0}
    with Server(ServerOptions(**options)) as server:
        yield server


def test_the_model_is_served_healthy_and_measured(served):
    name = settings()["MODEL_NAME"]
    with Client(f"127.0.0.1:{served.port}", name) as client:
        client.wait_until_available(TIMEOUT_S)
        assert client.rank({"user": "ann"}, {"item": [1, 2]})[0].index == 1

    def get(path):
        with urllib.request.urlopen(f"http://127.0.0.1:{served.rest_api_port}{path}") as answer:
            return answer.read().decode()

    healthy = composed()["healthcheck"]["test"][-1]
    assert json.loads(get(healthy.removeprefix("http://localhost:8501")))["model_spec"]["name"] == name
    assert f'request_count{{model_name="{name}",status="OK"}}' in get("/monitoring/prometheus/metrics")


def test_a_model_that_wants_to_be_batched_is(tmp_path, base_path, served):
    """What the README says of it: `rank`, which sends the user once, is refused then."""
    with Client(f"127.0.0.1:{served.port}", settings()["MODEL_NAME"]) as client:
        client.wait_until_available(TIMEOUT_S)
        batched = tmp_path / "batched"
        shutil.copytree(base_path / "1", batched)
        shutil.copy(DEPLOY / "config" / "batching_params.pbtxt", batched)
        batched.rename(base_path / "2")
        client.wait_until_available(TIMEOUT_S, version=2)

        with pytest.raises(CallError, match="equal 0th-dimension size") as refused:
            client.rank({"user": "ann"}, {"item": [1, 2]})
    assert refused.value.code == grpc.StatusCode.INVALID_ARGUMENT


def test_flags_are_written_once():
    command = composed()["command"]
    assert len(flags(command)) == len(command)
