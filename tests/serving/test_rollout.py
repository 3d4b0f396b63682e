"""Labels that move on a server under load."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
from tensorflow_serving.config import model_server_config_pb2

from serving.rollout import Rollout, RolloutError
from serving.server import Server, ServerOptions
from serving.tensor_proto import to_array
from tests.serving.server.test_server import wait_until

CLIENTS = 4


@pytest.fixture
def server(base_path: Path, push: Callable[..., Path]) -> Iterator[Server]:
    """Serves the latest version, which is 1."""
    push(1)
    options = ServerOptions("toy", str(base_path), port=0, file_system_poll_wait_seconds=0.05, max_num_load_retries=0)
    with Server(options) as server:
        server.wait_until_available(timeout_s=60)
        yield server


@pytest.fixture
def rollout(server: Server, base_path: Path) -> Iterator[Rollout]:
    with Rollout([f"127.0.0.1:{server.port}"], "toy", str(base_path), timeout_s=10) as rollout:
        yield rollout


def available(rollout: Rollout) -> set[int]:
    return {version for version, state in rollout.states().items() if state == "AVAILABLE"}


def test_a_version_is_tried_promoted_and_taken_back(rollout: Rollout, push: Callable[..., Path]) -> None:
    assert rollout.labels() == {}
    assert rollout.promote(1) == {"stable": 1}
    push(2)
    assert rollout.canary(2) == rollout.labels() == {"stable": 1, "canary": 2}
    assert rollout.promote() == rollout.labels() == {"stable": 2, "previous": 1}
    assert rollout.rollback() == rollout.labels() == {"stable": 1, "previous": 2}
    push(3)
    assert rollout.canary(3) == {"stable": 1, "previous": 2, "canary": 3}
    assert available(rollout) == {1, 2, 3}
    assert rollout.withdraw() == rollout.labels() == {"stable": 1, "previous": 2}


def test_versions_without_a_label_are_unloaded(rollout: Rollout, push: Callable[..., Path]) -> None:
    push(2)
    push(3)
    rollout.promote(1)
    rollout.promote(2)
    rollout.promote(3)
    wait_until(lambda: available(rollout) == {2, 3})


def test_no_request_for_stable_fails_meanwhile(
    server: Server,
    rollout: Rollout,
    push: Callable[..., Path],
    rank_request: Callable[..., predict_pb2.PredictRequest],
) -> None:
    rollout.promote(1)
    push(2)
    request = rank_request([1])
    request.model_spec.version_label = "stable"
    stop = threading.Event()
    errors: list[grpc.RpcError] = []
    versions: set[int] = set()
    logits: set[float] = set()

    def ask() -> None:
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            while not stop.is_set():
                try:
                    answer = stub.Predict(request, timeout=10)
                except grpc.RpcError as error:
                    errors.append(error)
                else:
                    versions.add(answer.model_spec.version.value)
                    logits.add(round(float(to_array(answer.outputs["logit"])[0]), 3))

    threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            rollout.canary(2)
            rollout.promote()
            rollout.rollback()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not errors, errors[0]
    assert versions == {1, 2}
    assert logits == {3.5, 7.0}


def test_a_version_that_cannot_be_loaded_changes_nothing(rollout: Rollout, base_path: Path) -> None:
    rollout.promote(1)
    (base_path / "2").mkdir()
    (base_path / "2" / "saved_model.pb").write_bytes(b"not a model")
    with pytest.raises(RolloutError, match="cannot load version 2"):
        rollout.canary(2)
    assert rollout.labels() == {"stable": 1}
    assert available(rollout) == {1}


@pytest.mark.parametrize(
    ("move", "message"),
    [
        (lambda rollout: rollout.promote(), "has no canary: say which version"),
        (lambda rollout: rollout.rollback(), "has no previous version"),
        (lambda rollout: rollout.canary(1), "version 1 of model toy is the stable one"),
    ],
)
def test_moves_that_make_no_sense(rollout: Rollout, move: Callable[[Rollout], object], message: str) -> None:
    with pytest.raises(RolloutError, match=message):
        move(rollout)
    assert rollout.labels() == {}


def test_a_version_that_is_not_there(server: Server, base_path: Path) -> None:
    with (
        Rollout([f"127.0.0.1:{server.port}"], "toy", str(base_path), timeout_s=0.5) as rollout,
        pytest.raises(RolloutError, match=r"version 7 is unknown; is each a folder of the model's base path\?"),
    ):
        rollout.canary(7)


def test_other_models_of_the_configuration_file_stay(
    server: Server, base_path: Path, tmp_path: Path, push: Callable[..., Path]
) -> None:
    other = tmp_path / "other"
    push(3).rename(other)
    (tmp_path / "others").mkdir()
    other.rename(tmp_path / "others" / "3")
    push(2)
    file = tmp_path / "models.pbtxt"
    file.write_text(
        f'model_config_list {{ config {{ name: "toy" base_path: "{base_path}" model_platform: "tensorflow" }}\n'
        f'config {{ name: "other" base_path: "{tmp_path / "others"}" model_platform: "tensorflow" }} }}'
    )
    with Rollout([f"127.0.0.1:{server.port}"], "toy", "", config_file=file, timeout_s=10) as rollout:
        rollout.promote(2)
    config = text_format.Parse(file.read_text(), model_server_config_pb2.ModelServerConfig())
    toy, kept = config.model_config_list.config
    assert dict(toy.version_labels) == {"stable": 2}
    assert list(toy.model_version_policy.specific.versions) == [2]
    assert kept.name == "other"
    assert not kept.HasField("model_version_policy")
    with Rollout([f"127.0.0.1:{server.port}"], "other", "") as others:
        assert available(others) == {3}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("model_config_list {", "expected a ModelServerConfig as text"),
        ('model_config_list { config { name: "a" } }', "expected one config with the name 'toy', received 'a'"),
    ],
)
def test_a_configuration_file_that_does_not_fit(server: Server, tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "models.pbtxt"
    file.write_text(content)
    with (
        Rollout([f"127.0.0.1:{server.port}"], "toy", "", config_file=file) as rollout,
        pytest.raises(RolloutError, match=message),
    ):
        rollout.promote(1)
    assert file.read_text() == content


def test_nobody_listens() -> None:
    with (
        Rollout(["127.0.0.1:1"], "toy", "/models/toy") as rollout,
        pytest.raises(RolloutError, match=r"^nobody listens at 127\.0\.0\.1:1$"),
    ):
        rollout.labels()
