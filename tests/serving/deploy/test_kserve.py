"""The InferenceService: valid by KServe's own models, and by Kubernetes' schemas in the parts that it takes from there.

KServe's models use those of an older Kubernetes, which lack some of the fields: such parts are checked as those of a
pod.
"""

import kserve
import kubernetes_validate
import pytest
from kubernetes.client import V1Container, V1PodSpec

from tests.manifests import KUBERNETES, documents, kustomized, of_kind
from tests.openapi import check
from tests.serving.deploy.files import DEPLOY, composed, flags, settings


def pod(parts):
    """What KServe hands on to Kubernetes."""

    def of(kind, given):
        return {name: value for name, value in given.items() if name in kind.attribute_map.values()}

    server = {"name": "kserve-container", "image": "runtime"} | of(V1Container, parts["V1beta1ModelSpec"])
    spec = of(V1PodSpec, parts["V1beta1PredictorSpec"]) | {"containers": [server]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "predictor"}, "spec": spec}


@pytest.fixture
def written():
    (service,) = documents((DEPLOY / "kserve" / "inference-service.yaml").read_text())
    return service


@pytest.mark.parametrize("version", KUBERNETES)
def test_it_is_valid(written, version):
    parts = check(kserve, kserve.V1beta1InferenceService, written)

    assert {"V1beta1PredictorSpec", "V1beta1ModelSpec", "V1beta1ModelFormat"} < set(parts)
    assert kubernetes_validate.validate(pod(parts), version, strict=True)


def test_what_kustomize_makes_is_valid():
    built = of_kind("InferenceService", kustomized(DEPLOY / "kserve"))

    parts = check(kserve, kserve.V1beta1InferenceService, built)
    assert kubernetes_validate.validate(pod(parts), KUBERNETES[-1], strict=True)


def test_mistakes_are_found(written):
    model = written["spec"]["predictor"]["model"]
    model["storageUrl"] = model.pop("storageUri")
    with pytest.raises(AssertionError, match="V1beta1ModelSpec has no storageUrl"):
        check(kserve, kserve.V1beta1InferenceService, written)

    model["storageUri"] = model.pop("storageUrl")
    model["readinessProbe"]["httpGet"]["ports"] = 80
    parts = check(kserve, kserve.V1beta1InferenceService, written)
    with pytest.raises(kubernetes_validate.ValidationError, match="ports"):
        kubernetes_validate.validate(pod(parts), KUBERNETES[-1], strict=True)


def test_image_model_and_configuration_are_those_of_the_settings():
    built = kustomized(DEPLOY / "kserve")

    service, name = of_kind("InferenceService", built), settings()["MODEL_NAME"]
    predictor = service["spec"]["predictor"]
    model = predictor["model"]
    assert service["metadata"]["name"] == name
    assert model["runtimeVersion"] == settings()["TF_SERVING_IMAGE"].rsplit(":", 1)[1] + "-gpu"
    assert model["storageUri"] == f"pvc://rankline-runs/{name}/serving"
    assert {probe: model[probe]["httpGet"]["path"] for probe in model if probe.endswith("Probe")} == {
        "startupProbe": f"/v1/models/{name}/metadata",
        "readinessProbe": f"/v1/models/{name}/metadata",
        "livenessProbe": f"/v1/models/{name}",
    }
    configuration = of_kind("ConfigMap", built)["metadata"]["name"]
    assert configuration in [volume.get("configMap", {}).get("name") for volume in predictor["volumes"]]


def test_flags_are_those_of_compose(written):
    of_compose = flags(composed()["command"]) | {"tensorflow_session_parallelism": "$(CPUS)"}

    given = flags(written["spec"]["predictor"]["model"]["args"])
    assert given.items() <= of_compose.items()
    of_kserve = {"port", "rest_api_port", "model_config_file", "allow_version_labels_for_unavailable_models"}
    assert set(of_compose) - set(given) == of_kserve
