"""The manifests that runs need in a cluster: Kubernetes accepts them, and they match the configuration and Rankline."""

import re

import kubernetes_validate
import pytest
import yaml

from pipeline.config.metadata import PostgreSql
from pipeline.config.run import load
from tests.manifests import KUBERNETES, ROOT, documents, kustomized, of_kind
from tests.test_docs import fences, parse

PAGE = "docs/deploy/kubeflow.md"
DEPLOY = ROOT / "pipeline" / "platforms" / "kubeflow" / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*.yaml") if path.name != "kustomization.yaml")


@pytest.fixture(scope="module")
def built():
    return kustomized(DEPLOY)


@pytest.fixture(scope="module")
def configuration(tmp_path_factory):
    """The documentation's, which is for these manifests."""
    (fence,) = fences(parse(PAGE), "yaml")
    path = tmp_path_factory.mktemp("page") / "shop.yaml"
    path.write_text(fence.content)
    return load(path, {}, ())


def read(name):
    return documents((DEPLOY / name).read_text())


def pods(found):
    return [each["spec"]["template"]["spec"] for each in found if each["kind"] in ("StatefulSet", "Job")]


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_manifest_is_valid(path, version):
    assert [kubernetes_validate.validate(each, version, strict=True) for each in documents(path.read_text())]


@pytest.mark.parametrize("version", KUBERNETES)
def test_what_kustomize_makes_is_valid_and_all_that_there_is(built, version):
    assert [kubernetes_validate.validate(each, version, strict=True) for each in built]
    named = {(each["kind"], each["metadata"]["name"]) for path in FILES for each in documents(path.read_text())}
    assert {(each["kind"], each["metadata"]["name"]) for each in built} == named


def test_a_configuration_finds_what_it_names(configuration, built):
    found = {(each["kind"], each["metadata"]["name"]): each for each in built}
    section = configuration.kubeflow
    assert ("ServiceAccount", section.service_account) in found
    for volume in section.volumes:
        assert found["PersistentVolumeClaim", volume.claim]["spec"]["accessModes"] == ["ReadWriteMany"]
    service = found["Service", configuration.metadata.host]
    assert [port["port"] for port in service["spec"]["ports"]] == [configuration.metadata.port]
    mounted = {volume.claim: str(volume.path) for volume in section.volumes}
    assert str(section.root) == mounted["rankline-runs"]
    assert section.dataset.startswith(mounted["rankline-data"])


def test_the_database_is_the_one_that_rankline_asks_for(configuration, built):
    (server,) = of_kind("StatefulSet", built)["spec"]["template"]["spec"]["containers"]
    variables = {each["name"]: each.get("value") or each["valueFrom"]["secretKeyRef"] for each in server["env"]}
    defaults = PostgreSql(name="postgresql", host="")
    assert (variables["POSTGRES_USER"], variables["POSTGRES_DB"]) == (defaults.user, defaults.database)
    secret = configuration.kubeflow.secrets[defaults.password_env]
    assert variables["POSTGRES_PASSWORD"] == {"name": secret.secret, "key": secret.key}
    assert [port["containerPort"] for port in server["ports"]] == [defaults.port]
    (claim,) = of_kind("StatefulSet", built)["spec"]["volumeClaimTemplates"]
    (data,) = (each for each in server["volumeMounts"] if each["name"] == claim["metadata"]["name"])
    assert variables["PGDATA"].startswith(data["mountPath"] + "/")


def test_no_password_is_in_the_manifests(built):
    assert "Secret" not in {each["kind"] for each in built}


def test_the_page_says_how_the_secret_is_made(configuration):
    secret = configuration.kubeflow.secrets["MLMD_PASSWORD"]
    (command,) = re.findall(r"kubectl create secret generic (\S+) .*--from-file=(\w+)=", (ROOT / PAGE).read_text())
    assert command == (secret.secret, secret.key)


def test_all_speak_of_the_same_database(built):
    labels = of_kind("StatefulSet", built)["spec"]["template"]["metadata"]["labels"]
    assert of_kind("StatefulSet", built)["spec"]["selector"]["matchLabels"] == labels
    assert of_kind("Service", built)["spec"]["selector"] == labels
    policy = of_kind("NetworkPolicy", built)["spec"]
    assert policy["podSelector"]["matchLabels"] == labels
    assert "egress" not in policy
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}


def test_pods_may_do_no_more_than_they_need(built):
    found = pods(built)
    assert len(found) == 2
    for pod in found:
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = pod["containers"]
        rights = container["securityContext"]
        assert (rights["allowPrivilegeEscalation"], rights["readOnlyRootFilesystem"]) == (False, True)
        assert rights["capabilities"]["drop"] == ["ALL"]
        assert container["resources"]["limits"]["memory"]
    (database,) = pods([of_kind("StatefulSet", built)])
    assert database["securityContext"]["runAsNonRoot"]


def test_only_the_job_is_root_and_gives_the_volumes_to_the_images_user(built):
    (pod,) = pods([of_kind("Job", built)])
    (container,) = pod["containers"]
    assert container["securityContext"]["capabilities"]["add"] == ["CHOWN"]
    user = re.search(r"^USER (\S+)$", (ROOT / "Dockerfile").read_text().rpartition("FROM debian")[2], re.MULTILINE)[1]
    assert container["command"] == ["chown", user, *(mount["mountPath"] for mount in container["volumeMounts"])]
    claims = {volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"]}
    assert claims == {each["metadata"]["name"] for each in built if each["kind"] == "PersistentVolumeClaim"}


def test_the_service_account_has_the_rights_of_its_role_and_no_other(built):
    binding, role = of_kind("RoleBinding", built), of_kind("Role", built)
    assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) == ("Role", role["metadata"]["name"])
    assert [each["name"] for each in binding["subjects"]] == [of_kind("ServiceAccount", built)["metadata"]["name"]]
    rights = {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    assert rights == {
        ("workflowtaskresults", "create"),
        ("workflowtaskresults", "patch"),
        ("pods", "get"),
        ("configmaps", "get"),
        ("secrets", "get"),
    }
    assert "*" not in yaml.safe_dump(role)
    for rule in role["rules"]:
        assert bool(rule.get("resourceNames")) == (rule["resources"][0] in ("configmaps", "secrets"))


def test_model_servers_read_the_volume_that_runs_push_to(configuration):
    served = of_kind("PersistentVolumeClaim", kustomized(ROOT / "serving" / "deploy" / "kubernetes" / "base"))
    assert served == read("volumes/runs.yaml")[0]
    (runs,) = (each for each in configuration.kubeflow.volumes if each.path == configuration.kubeflow.root)
    assert runs.claim == served["metadata"]["name"]
