"""HandleReloadConfigRequest: TF Serving's model_service_impl.cc and server_core.cc.

Each case begins with the configuration that the server started with, and restores it. The suite leaves out the cases
from which a server does not recover: after a new model without a platform, it refuses all further requests.
"""

import pytest
from grpc import StatusCode
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2, predict_pb2
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig, ModelServerConfig

from tests.serving.asking import TIMEOUT_S, error_of, wait_until
from tests.serving.conformance import models
from tests.serving.conformance.conftest import spec

COUNTER = "/tensorflow/serving/request_count"


def reload_request(config=None, *metric_names):
    return model_management_pb2.ReloadConfigRequest(config=config, metric_names=metric_names)


@pytest.fixture
def reload(model_service, server_config, states):
    """Reconfigures the server, and puts it back after the test."""
    served = {model.name: available(states(model.name)) for model in server_config.model_config_list.config}

    def reload(config, *metric_names):
        return model_service.HandleReloadConfigRequest(reload_request(config, *metric_names), timeout=TIMEOUT_S)

    yield reload
    reload(server_config)
    for name, versions in served.items():
        wait_until(lambda name=name, versions=versions: available(states(name)) == versions)
    for name in ("newcomer", "broken", "half_broken"):
        wait_until(lambda name=name: set(states(name).values()) <= {"END"})


def available(states):
    return [version for version, state in states.items() if state == "AVAILABLE"]


@pytest.fixture
def config(server_config):
    """A configuration to be changed."""
    copy = ModelServerConfig()
    copy.CopyFrom(server_config)
    return copy


@pytest.fixture
def newcomer(config, target) -> ModelConfig:
    """A model more in it, served by version 1."""
    model = models.add_model(config, "newcomer", target.mounted_at)
    model.model_version_policy.specific.versions.append(1)
    return model


def x_request(*args, **kwargs):
    request = predict_pb2.PredictRequest(model_spec=spec(*args, **kwargs))
    request.inputs["x"].dtype = 1
    return request


def asked_version(prediction, *args, **kwargs):
    """The version that answers."""
    return prediction.Predict(x_request(*args, **kwargs), timeout=TIMEOUT_S).model_spec.version.value


def refusal(prediction, *args, **kwargs):
    return error_of(prediction.Predict, predict_pb2.PredictRequest(model_spec=spec(*args, **kwargs)))


def test_the_same_configuration_again(reload, server_config, states):
    response = reload(server_config)

    assert response.HasField("status")
    assert (response.status.error_code, response.status.error_message) == (0, "")
    assert list(response.metric) == []
    assert states("linear") == {2: "AVAILABLE", 1: "AVAILABLE"}


def test_a_new_model_is_served_when_the_answer_comes(reload, config, newcomer, prediction):
    reload(config)

    assert asked_version(prediction, "newcomer") == 1
    assert asked_version(prediction, "linear") == 2


def test_a_model_that_is_left_out_ends(reload, config, newcomer, server_config, prediction, states):
    reload(config)
    reload(server_config)
    wait_until(lambda: states("newcomer")[1] == "END")

    assert refusal(prediction, "newcomer") == (
        StatusCode.NOT_FOUND,
        "Servable not found for request: Latest(newcomer)",
    )
    reload(config)
    assert asked_version(prediction, "newcomer") == 1


def test_other_versions(reload, config, newcomer, prediction, states):
    reload(config)
    newcomer.model_version_policy.specific.versions[:] = [2, 3]
    reload(config)
    wait_until(lambda: states("newcomer") == {3: "AVAILABLE", 2: "AVAILABLE", 1: "END"})

    assert asked_version(prediction, "newcomer") == 3
    assert asked_version(prediction, "newcomer", 2) == 2
    assert refusal(prediction, "newcomer", 1)[0] == StatusCode.NOT_FOUND


def test_another_base_path(reload, config, newcomer, target, prediction, states):
    newcomer.model_version_policy.latest.num_versions = 1
    reload(config)
    assert asked_version(prediction, "newcomer") == 3
    newcomer.base_path = newcomer.base_path.replace("newcomer", "padded")
    reload(config)
    wait_until(lambda: available(states("newcomer")) == [7])
    newcomer.base_path = newcomer.base_path.replace("padded", "newcomer")
    reload(config)
    wait_until(lambda: available(states("newcomer")) == [3])

    assert states("newcomer")[7] == "END"
    assert asked_version(prediction, "newcomer") == 3


def test_labels_move(reload, config, newcomer, prediction, states):
    newcomer.model_version_policy.specific.versions.append(2)
    newcomer.version_labels["stable"] = 1
    reload(config)
    wait_until(lambda: [states("newcomer").get(version) for version in (1, 2)] == ["AVAILABLE", "AVAILABLE"])
    assert asked_version(prediction, "newcomer", label="stable") == 1

    newcomer.version_labels.clear()
    newcomer.version_labels.update({"stable": 2, "previous": 1})
    reload(config)

    assert asked_version(prediction, "newcomer", label="stable") == 2
    assert asked_version(prediction, "newcomer", label="previous") == 1


def test_a_label_that_is_taken_away(reload, config, newcomer, prediction):
    newcomer.version_labels["stable"] = 1
    reload(config)
    newcomer.version_labels.clear()
    reload(config)

    assert refusal(prediction, "newcomer", label="stable") == (
        StatusCode.INVALID_ARGUMENT,
        "Unrecognized servable version label: stable",
    )


def test_a_label_does_not_move_to_a_version_that_is_not_served(reload, config, newcomer, model_service, prediction):
    newcomer.version_labels["stable"] = 1
    reload(config)
    newcomer.version_labels["stable"] = 9

    assert error_of(model_service.HandleReloadConfigRequest, reload_request(config)) == (
        StatusCode.FAILED_PRECONDITION,
        "Request to assign label to version 9 of model newcomer, which is not currently available for inference",
    )
    assert asked_version(prediction, "newcomer", label="stable") == 1


def test_a_new_label_may_come_before_its_version(reload, config, newcomer, prediction):
    """As the flag allows that the server was started with."""
    newcomer.version_labels["next"] = 9
    reload(config)

    assert refusal(prediction, "newcomer", label="next") == (
        StatusCode.NOT_FOUND,
        "Servable not found for request: Specific(newcomer, 9)",
    )


def test_a_model_that_cannot_be_loaded(reload, config, target, model_service):
    models.add_model(config, "broken", target.mounted_at)

    code, message = error_of(model_service.HandleReloadConfigRequest, reload_request(config))

    assert code == StatusCode.UNKNOWN
    assert message.startswith("1 model(s) did not become available: {{{name: broken version: 1} due to error: ")
    assert "Could not find SavedModel" in message
    request = get_model_status_pb2.GetModelStatusRequest(model_spec=spec("broken"))
    (status,) = model_service.GetModelStatus(request, timeout=TIMEOUT_S).model_version_status
    assert (status.version, status.state) == (1, get_model_status_pb2.ModelVersionStatus.END)
    assert status.status.error_code == StatusCode.NOT_FOUND.value[0]
    assert status.status.error_message.startswith("Could not find SavedModel")


def test_a_model_whose_newest_version_cannot_be_loaded(reload, config, target, model_service, prediction):
    """The newest is loaded first, and waited for; the other one is served all the same."""
    models.add_model(config, "half_broken", target.mounted_at).model_version_policy.all.SetInParent()

    code, message = error_of(model_service.HandleReloadConfigRequest, reload_request(config))

    assert code == StatusCode.UNKNOWN
    assert message.startswith("1 model(s) did not become available: {{{name: half_broken version: 2} due to error: ")
    wait_until(lambda: prediction.Predict.future(x_request("half_broken"), timeout=TIMEOUT_S).code() == StatusCode.OK)


def test_no_models(reload, server_config, prediction, states):
    reload(ModelServerConfig(model_config_list={}))
    # All of them: one that ends while it is added again counts as one that did not become available.
    for model in server_config.model_config_list.config:
        wait_until(lambda name=model.name: set(states(name).values()) == {"END"})

    assert refusal(prediction, "linear") == (StatusCode.NOT_FOUND, "Servable not found for request: Latest(linear)")


def test_requests_cannot_be_logged(reload, config, newcomer, model_service):
    newcomer.logging_config.SetInParent()

    assert error_of(model_service.HandleReloadConfigRequest, reload_request(config)) == (
        StatusCode.INVALID_ARGUMENT,
        "No request-logger-creator provided.",
    )


def test_increases_of_metrics(reload, server_config):
    response = reload(server_config, COUNTER, "/not/a/metric")

    assert {metric.name: metric.int64_value_increase for metric in response.metric} == {COUNTER: 0, "/not/a/metric": 0}


def _twice(config):
    config.model_config_list.config.add().CopyFrom(config.model_config_list.config[0])


def _relative(config):
    config.model_config_list.config[0].base_path = "models/linear"


def _without_path(config):
    config.model_config_list.config[0].base_path = ""


def _other_platform(config):
    config.model_config_list.config[0].model_platform = "other"


def _no_platform(config):
    config.model_config_list.config[0].model_platform = ""


def _two_platforms(config):
    config.model_config_list.config[0].model_type = 1


def _deprecated_type(config):
    config.model_config_list.config[0].model_platform = ""
    config.model_config_list.config[0].model_type = 2


def _unknown_platform(config):
    config.model_config_list.config.add(name="newcomer", base_path="/nowhere", model_platform="other")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_twice, "Illegal to list model linear multiple times in config list"),
        (_relative, "Expected model linear to have an absolute path or URI; got base_path()=models/linear"),
        (_without_path, "Expected model linear to have an absolute path or URI; got base_path()="),
        (
            _other_platform,
            "Illegal to change a model's platform. For model linear platform was tensorflow and new platform requested "
            "is other",
        ),
        (
            _no_platform,
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform, "
            "model name is linear",
        ),
        (
            _two_platforms,
            "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform, "
            "model name is linear",
        ),
        (_deprecated_type, "ModelServerConfig::model_type choice 2 not supported."),
        (_unknown_platform, "Model newcomer requests unsupported platform other"),
    ],
)
def test_configurations_that_are_wrong(reload, config, model_service, states, change, message):
    change(config)

    assert error_of(model_service.HandleReloadConfigRequest, reload_request(config)) == (
        StatusCode.INVALID_ARGUMENT,
        message,
    )
    assert states("linear") == {2: "AVAILABLE", 1: "AVAILABLE"}


@pytest.mark.parametrize("config", [None, ModelServerConfig(), ModelServerConfig(custom_model_config={})], ids=str)
def test_configurations_of_another_kind(model_service, config):
    assert error_of(model_service.HandleReloadConfigRequest, reload_request(config)) == (
        StatusCode.INVALID_ARGUMENT,
        "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently "
        "supported",
    )


def test_the_deprecated_name_of_the_platform(reload, config, prediction):
    """MODEL_TYPE tensorflow is the platform tensorflow, so that nothing changes."""
    config.model_config_list.config[0].model_platform = ""
    config.model_config_list.config[0].model_type = 1
    reload(config)

    assert asked_version(prediction, "linear") == 2
