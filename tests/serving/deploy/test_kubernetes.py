"""The manifests: valid by Kubernetes' own schemas, with all that a cluster must know of TF Serving."""

import kubernetes_validate
import pytest

from tests.manifests import KUBERNETES, documents, kustomized, of_kind
from tests.serving.deploy.files import DEPLOY, OVERLAYS, composed, flags, manifests, settings

OF_KUBERNETES = [path for path in manifests() if path.parent.name != "kserve"]


def read(name):
    """The document in that file of the base."""
    (document,) = documents((DEPLOY / "kubernetes" / "base" / name).read_text())
    return document


def container(deployment):
    (server,) = deployment["spec"]["template"]["spec"]["containers"]
    return server


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("path", OF_KUBERNETES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_manifest_is_valid(path, version):
    # An unknown kind, of which the command only warns, is an error here.
    assert [kubernetes_validate.validate(each, version, strict=True) for each in documents(path.read_text())]


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("overlay", [overlay for overlay in OVERLAYS if overlay.startswith("kubernetes")])
def test_what_kustomize_makes_is_valid(overlay, version):
    assert [kubernetes_validate.validate(each, version, strict=True) for each in kustomized(DEPLOY / overlay)]


def test_a_mistake_is_found():
    deployment = read("deployment.yaml")
    container(deployment)["livenesProbe"] = container(deployment).pop("livenessProbe")

    with pytest.raises(kubernetes_validate.ValidationError, match="livenesProbe"):
        kubernetes_validate.validate(deployment, KUBERNETES[-1], strict=True)


@pytest.mark.parametrize(("overlay", "ending"), [("base", "-gpu"), ("cpu", ""), ("bucket", "-gpu")])
def test_image_and_model_are_those_of_the_settings(overlay, ending):
    server = container(of_kind("Deployment", kustomized(DEPLOY / f"kubernetes/{overlay}")))

    name = settings()["MODEL_NAME"]
    assert server["image"] == settings()["TF_SERVING_IMAGE"] + ending
    assert {probe: server[probe]["httpGet"]["path"] for probe in server if probe.endswith("Probe")} == {
        "startupProbe": f"/v1/models/{name}/metadata",
        "readinessProbe": f"/v1/models/{name}/metadata",
        "livenessProbe": f"/v1/models/{name}",
    }


def test_what_is_mounted_is_there():
    built = kustomized(DEPLOY / "kubernetes/base")

    pod = of_kind("Deployment", built)["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert {mount["name"] for mount in container(of_kind("Deployment", built))["volumeMounts"]} == set(volumes)
    configuration = of_kind("ConfigMap", built)
    assert volumes["config"]["configMap"]["name"] == configuration["metadata"]["name"]
    assert (
        volumes["models"]["persistentVolumeClaim"]["claimName"]
        == of_kind("PersistentVolumeClaim", built)["metadata"]["name"]
    )
    files = {value for value in flags(container(of_kind("Deployment", built))["args"]).values() if "/etc/" in value}
    assert files == {f"/etc/tf-serving/{name}" for name in configuration["data"]}


def test_without_gpus_none_is_asked_for():
    deployment = of_kind("Deployment", kustomized(DEPLOY / "kubernetes/cpu"))

    assert "nvidia" not in str(deployment)
    assert "nvidia.com/gpu" in container(read("deployment.yaml"))["resources"]["limits"]


def test_from_a_bucket_no_volume_is_needed():
    built = kustomized(DEPLOY / "kubernetes/bucket")

    assert "PersistentVolumeClaim" not in {document["kind"] for document in built}
    deployment = of_kind("Deployment", built)
    assert "/models" not in [mount["mountPath"] for mount in container(deployment)["volumeMounts"]]
    assert 'base_path: "gs://' in of_kind("ConfigMap", built)["data"]["models.config"]
    assert of_kind("NetworkPolicy", built)["spec"]["egress"]


def test_all_speak_of_the_same_pods():
    labels = read("deployment.yaml")["spec"]["template"]["metadata"]["labels"]

    services = documents((DEPLOY / "kubernetes" / "base" / "services.yaml").read_text())
    assert [service["spec"]["selector"] for service in services] == [labels] * 2
    assert read("deployment.yaml")["spec"]["selector"]["matchLabels"] == labels
    assert read("disruption-budget.yaml")["spec"]["selector"]["matchLabels"] == labels
    assert read("network-policy.yaml")["spec"]["podSelector"]["matchLabels"] == labels
    ports = {port["name"] for port in container(read("deployment.yaml"))["ports"]}
    assert {port["targetPort"] for service in services for port in service["spec"]["ports"]} == ports


def test_the_autoscaler_alone_says_how_many_there_are():
    scaled = read("autoscaler.yaml")["spec"]["scaleTargetRef"]

    deployment = read("deployment.yaml")
    assert scaled == {"apiVersion": "apps/v1", "kind": deployment["kind"], "name": deployment["metadata"]["name"]}
    assert "replicas" not in deployment["spec"]


def test_the_pod_may_do_nothing_but_serve():
    pod = read("deployment.yaml")["spec"]["template"]["spec"]

    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(read("deployment.yaml"))["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert read("network-policy.yaml")["spec"].get("egress", []) == []


def test_connections_are_gone_before_the_server_is():
    server = container(read("deployment.yaml"))
    arguments = dict(pair.split("=") for pair in flags(server["args"])["grpc_channel_arguments"].split(","))
    oldest_s = int(arguments["grpc.max_connection_age_ms"]) / 1000 * 1.1  # gRPC varies it by a tenth

    known_s = 30  # by caches of names
    waits_s = server["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert known_s + oldest_s < waits_s
    assert waits_s < read("deployment.yaml")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]


def test_flags_are_those_of_compose():
    assert flags(container(read("deployment.yaml"))["args"]) == {
        **flags(composed()["command"]),
        "tensorflow_session_parallelism": "$(CPUS)",
    }
