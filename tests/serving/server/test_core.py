"""Configurations: several models, versions and labels, from a file and over gRPC, loaded while the server serves."""

import grpc
import pytest
from google.protobuf import text_format
from grpc import StatusCode
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from serving.server import ConfigFileError, Server, ServerOptions, StatusError
from tests.serving.asking import TIMEOUT_S, wait_until

_State = get_model_status_pb2.ModelVersionStatus.State


class Caller:
    def __init__(self, server):
        self.channel = grpc.insecure_channel(f"127.0.0.1:{server.port}")
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)

    def reload(self, text):
        config = text_format.Parse(text, ModelServerConfig())
        request = model_management_pb2.ReloadConfigRequest(config=config)
        return self.models.HandleReloadConfigRequest(request, timeout=TIMEOUT_S)

    def states(self, name="toy"):
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=model_pb2.ModelSpec(name=name))
        response = self.models.GetModelStatus(request, timeout=TIMEOUT_S)
        return {status.version: _State.Name(status.state) for status in response.model_version_status}

    def version_of(self, request, **spec):
        asked = predict_pb2.PredictRequest()
        asked.CopyFrom(request)
        asked.model_spec.CopyFrom(model_pb2.ModelSpec(name="toy", signature_name="rank", **spec))
        return self.prediction.Predict(asked, timeout=TIMEOUT_S).model_spec.version.value


@pytest.fixture
def caller(base_path, push):
    """Of a server of the latest version, of 1 and 2."""
    push(1)
    push(2)
    options = ServerOptions("toy", str(base_path), file_system_poll_wait_seconds=0.02, max_num_load_retries=0)
    with Server(options) as server:
        server.wait_until_available(TIMEOUT_S)
        caller = Caller(server)
        with caller.channel:
            yield caller


def toy(base_path, more="", name="toy"):
    return f'config {{ name: "{name}" base_path: "{base_path}" model_platform: "tensorflow" {more} }}'


def listed(*models):
    return f"model_config_list {{ {' '.join(models)} }}"


def error_of(call, *arguments):
    with pytest.raises(grpc.RpcError) as error:
        call(*arguments)
    return error.value.code(), error.value.details()


@pytest.mark.parametrize(
    ("policy", "available"),
    [("all {}", {1, 2}), ("latest { num_versions: 2 }", {1, 2}), ("specific { versions: 1 }", {1})],
)
def test_versions_are_those_of_the_policy(caller, base_path, policy, available):
    caller.reload(listed(toy(base_path, f"model_version_policy {{ {policy} }}")))

    wait_until(lambda: {v for v, state in caller.states().items() if state == "AVAILABLE"} == available)
    wait_until(lambda: {v for v, state in caller.states().items() if state == "END"} == {1, 2} - available - {1})


def test_a_label_leads_to_its_version(caller, base_path, rank_request):
    both = "model_version_policy { all {} }"
    caller.reload(listed(toy(base_path, both)))
    wait_until(lambda: caller.states() == {1: "AVAILABLE", 2: "AVAILABLE"})
    caller.reload(listed(toy(base_path, f'{both} version_labels {{ key: "stable" value: 1 }}')))

    request = rank_request([1])
    assert caller.version_of(request, version_label="stable") == 1
    assert caller.version_of(request) == 2
    assert error_of(lambda: caller.version_of(request, version_label="canary")) == (
        StatusCode.INVALID_ARGUMENT,
        "Unrecognized servable version label: canary",
    )
    caller.reload(listed(toy(base_path, both)))
    assert error_of(lambda: caller.version_of(request, version_label="stable"))[0] == StatusCode.INVALID_ARGUMENT


def test_a_label_of_a_version_that_is_not_loaded_is_refused(caller, base_path, rank_request):
    labelled = 'version_labels { key: "stable" value: 2 }'
    caller.reload(listed(toy(base_path, labelled)))

    wrong = listed(toy(base_path, 'version_labels { key: "stable" value: 1 }'))
    assert error_of(caller.reload, wrong) == (
        StatusCode.FAILED_PRECONDITION,
        "Request to assign label to version 1 of model toy, which is not currently available for inference",
    )
    assert caller.version_of(rank_request([1]), version_label="stable") == 2


def test_a_new_model_is_there_when_the_answer_comes_and_one_that_is_left_out_goes(caller, base_path):
    response = caller.reload(listed(toy(base_path, name="other")))

    assert response.status.error_code == 0
    assert caller.states("other") == {2: "AVAILABLE"}
    wait_until(lambda: caller.states("toy") == {2: "END"})


def test_a_new_model_that_cannot_be_loaded(caller, base_path, tmp_path):
    (tmp_path / "broken" / "1").mkdir(parents=True)
    code, message = error_of(caller.reload, listed(toy(base_path), toy(tmp_path / "broken", name="broken")))

    assert code == StatusCode.UNKNOWN
    assert message.startswith("1 model(s) did not become available: {")
    assert caller.states() == {2: "AVAILABLE"}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            "",
            "ServerModelConfig type not supported by HandleReloadConfigRequest."
            " Only ModelConfigList is currently supported",
        ),
        (listed(toy("/a"), toy("/b")), "Illegal to list model toy multiple times in config list"),
        (listed(toy("a/b")), "Expected model toy to have an absolute path or URI; got base_path()=a/b"),
        (
            'model_config_list { config { name: "a" base_path: "/a" } }',
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform, "
            "model name is a",
        ),
        (
            listed(toy("/a", "model_type: TENSORFLOW")),
            "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform, "
            "model name is toy",
        ),
        (
            'model_config_list { config { name: "a" base_path: "/a" model_platform: "torch" } }',
            "Model a requests unsupported platform torch",
        ),
    ],
)
def test_configurations_that_are_refused_change_nothing(caller, config, message):
    assert error_of(caller.reload, config) == (StatusCode.INVALID_ARGUMENT, message)
    assert caller.states() == {2: "AVAILABLE"}


def test_a_file_is_read_again(base_path, push, tmp_path, rank_request):
    push(1)
    push(2)
    file = tmp_path / "models.pbtxt"
    labelled = 'model_version_policy { specific { versions: %d } } version_labels { key: "stable" value: %d }'
    file.write_text(listed(toy(base_path, labelled % (1, 1))))
    options = ServerOptions(
        model_name="toy",
        model_config_file=str(file),
        model_config_file_poll_wait_seconds=0.05,
        allow_version_labels_for_unavailable_models=True,
        file_system_poll_wait_seconds=0.02,
    )
    with Server(options) as server:
        server.wait_until_available(TIMEOUT_S)
        caller = Caller(server)
        with caller.channel:
            assert caller.version_of(rank_request([1]), version_label="stable") == 1
            file.write_text("no configuration")
            file.write_text(listed(toy(base_path, "model_version_policy { all {} }")))
            wait_until(lambda: caller.states() == {1: "AVAILABLE", 2: "AVAILABLE"})
            assert error_of(lambda: caller.version_of(rank_request([1]), version_label="stable"))[0] == (
                StatusCode.INVALID_ARGUMENT
            )


def test_files_that_cannot_be_served(tmp_path):
    file = tmp_path / "models.pbtxt"
    with pytest.raises(
        ConfigFileError, match=r"models\.pbtxt: expected ModelServerConfig in text format, received .*No such"
    ):
        Server(ServerOptions(model_config_file=str(file))).start()
    file.write_text('model_config_list { config { nmae: "a" } }')
    with pytest.raises(ConfigFileError, match=r"1:30 .*nmae"):
        Server(ServerOptions(model_config_file=str(file))).start()
    file.write_text(listed(toy("/a", 'version_labels { key: "stable" value: 1 }')))
    with pytest.raises(StatusError, match="Request to assign label to version 1 of model toy"):
        Server(ServerOptions(model_config_file=str(file))).start()
