"""A given tensorflow_model_server and docker's, played by scripts that become the embedded server."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components import model_servers
from components.evaluation.thresholds import Limits
from components.infra_check import InfraCheckError, check
from components.model_servers import BINARY_VARIABLE, DOCKER, EMBEDDED, ModelServerError, chosen, serving
from schema.feature_spec import FeatureSpec

PROJECT = Path(__file__).parents[2]
EMBEDDED_SERVER = f"cd {PROJECT} && exec {sys.executable} -m serving.server"

# Takes `docker run` apart as docker does: the image's program sees the mounted folder, on the published port.
FAKE_DOCKER = f"""#!{sys.executable}
import json, os, sys
with open({{calls!r}}, "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
if sys.argv[1] == "run":
    options = [argument for argument in sys.argv[2:] if argument.startswith("--")]
    given = dict(option.lstrip("-").partition("=")[::2] for option in options)
    mount = dict(part.partition("=")[::2] for part in given["mount"].split(","))
    flags = options[options.index("--entrypoint=tensorflow_model_server") + 1:]
    inside, outside = os.path.dirname(mount["target"]), {{base!r}}
    os.makedirs(outside)
    os.symlink(mount["source"], os.path.join(outside, os.path.basename(mount["target"])))
    flags = [flag.replace(inside, outside) for flag in flags if not flag.startswith("--port=")]
    os.chdir({str(PROJECT)!r})
    port = given["publish"].split(":")[1]
    os.execv(sys.executable, [sys.executable, "-m", "serving.server", "--port=" + port, *flags])
"""


def example(x: float) -> bytes:
    feature = tf.train.Feature(float_list=tf.train.FloatList(value=[x]))
    return tf.train.Example(features=tf.train.Features(feature={"x": feature})).SerializeToString()


SPEC = FeatureSpec.model_validate({"label": "y"})
EXAMPLES = [example(x) for x in np.linspace(-3, 3, 150)]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Makes the binary that the environment variable names out of lines for the shell."""

    def script(lines: str) -> Path:
        path = tmp_path / "tensorflow_model_server"
        path.write_text(f"#!/bin/sh\n{lines}\n")
        path.chmod(0o755)
        monkeypatch.setenv(BINARY_VARIABLE, str(path))
        return path

    return script


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[list[str]]]:
    """Puts a docker on the path; gives what it was called with so far."""
    folder, calls = tmp_path / "bin", tmp_path / "calls"
    folder.mkdir()
    (folder / "docker").write_text(FAKE_DOCKER.format(calls=str(calls), base=str(tmp_path / "models")))
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return lambda: [json.loads(line) for line in calls.read_text().splitlines()]


def start(server: str, model: Path) -> None:
    with serving(server, str(model)):
        pass


def test_a_given_binary_is_compared_like_the_embedded_server(make_model, script):
    script(f'{EMBEDDED_SERVER} "$@"')
    report, _ = check(str(make_model() / "Format-Serving"), EXAMPLES, SPEC, Limits(), chosen(EMBEDDED))

    assert report["rows"] == 150
    assert report["largest_difference"] < 1e-6


def test_docker_gets_the_model_read_only_on_a_port_of_this_machine_and_is_removed(make_model, docker):
    model = make_model() / "Format-Serving"
    report, _ = check(str(model), EXAMPLES, SPEC, Limits(), chosen(f"{DOCKER}tensorflow/serving:2.20.0"))
    assert report["largest_difference"] < 1e-6

    run, remove = docker()
    name = next(option for option in run if option.startswith("--name=")).removeprefix("--name=")
    assert remove == ["rm", "--force", name]
    (published,) = (option for option in run if option.startswith("--publish="))
    assert published.startswith("--publish=127.0.0.1:")
    assert published.endswith(":8500")
    assert f"--mount=type=bind,source={model},target=/models/candidate/1,readonly" in run
    assert "--rm" in run
    image = run.index("tensorflow/serving:2.20.0")
    assert run[image - 1] == "--entrypoint=tensorflow_model_server"
    assert run[image + 1 :] == [
        "--port=8500",
        "--rest_api_port=0",
        "--model_name=candidate",
        "--model_base_path=/models/candidate",
        "--file_system_poll_wait_seconds=0",
        "--max_num_load_retries=0",
    ]


def test_a_model_that_a_binary_does_not_load(tmp_path, script):
    binary = script(f'{EMBEDDED_SERVER} "$@"')
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"no graph")
    with pytest.raises(InfraCheckError) as raised:
        check(str(tmp_path / "model"), EXAMPLES, SPEC, Limits(), chosen(EMBEDDED))

    first, command, *_ = str(raised.value).splitlines()
    assert first.startswith("infra check: expected a model that can be served, received: model candidate version 1: ")
    assert command.startswith(f"  command: {binary} --port=")


def test_a_binary_that_ends_at_once_is_shown_with_the_end_of_its_log(tmp_path, script):
    binary = script("seq 100; exit 3")
    with pytest.raises(ModelServerError) as raised:
        start(chosen(EMBEDDED), tmp_path)

    first, command, _, *log = str(raised.value).splitlines()
    assert first == "the server ended with status 3 before it served the model"
    assert command.startswith(f"  command: {binary} --port=")
    assert log == [str(n) for n in range(81, 101)]


def test_a_binary_that_never_gets_ready(tmp_path, script, monkeypatch):
    monkeypatch.setattr(model_servers, "_START_TIMEOUT_S", 1.0)
    script("echo loading; exec sleep 60")
    with pytest.raises(ModelServerError, match=r"(?s)^the server did not serve the model within 1 s .*\nloading$"):
        start(chosen(EMBEDDED), tmp_path)


def test_a_machine_without_docker(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ModelServerError, match=r"^docker run .* image --port=8500 .*: No such file or directory$"):
        start(chosen(f"{DOCKER}image"), tmp_path)


@pytest.mark.parametrize("variable", [True, False])
def test_a_binary_that_is_missing(tmp_path, monkeypatch, variable):
    missing = str(tmp_path / "server")
    if variable:
        monkeypatch.setenv(BINARY_VARIABLE, missing)
    with pytest.raises(ModelServerError) as raised:
        chosen(EMBEDDED if variable else missing)
    assert str(raised.value) == (
        f"{BINARY_VARIABLE if variable else 'infra_check_server'}: expected embedded, docker:IMAGE or the path of an "
        f"executable tensorflow_model_server, received '{missing}', which is none of these"
    )


def test_a_result_is_of_one_binary_not_of_its_path(script):
    before = chosen(EMBEDDED)
    binary = script("exit 0")
    one = chosen(EMBEDDED)
    script("exit 0; # another one")
    assert len({before, one, chosen(EMBEDDED), chosen(str(binary))}) == 3
    assert one.startswith(f"{binary}@")
