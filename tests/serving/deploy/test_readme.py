"""The claims of the pages on the deployment files."""

import re

from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from tests.manifests import KUBERNETES, ROOT, documents
from tests.serving.deploy.files import DEPLOY, settings
from tests.test_docs import fences, parse, spans, tables

README = parse("serving/deploy/README.md")
GUIDE_PATH = ROOT / "docs" / "deploy" / "tf-serving.md"
GUIDE = parse("docs/deploy/tf-serving.md")
FILES, ALERTS = ([row[0].content for row in table] for page in (README, GUIDE) for table in tables(page))
"""The first columns of their tables."""


def test_paths_exist():
    paths = [
        span
        for span in spans([*README, *GUIDE])
        if re.fullmatch(r"(config|kubernetes|kserve|monitoring)(/[\w.-]+)?|compose\.yaml", span)
    ]

    assert len(paths) > 15
    assert [path for path in paths if not (DEPLOY / path).exists()] == []


def test_every_file_is_in_the_table():
    named = set(re.findall(r"`([^`]+)`", " ".join(FILES)))

    files = {str(path.relative_to(DEPLOY)) for path in DEPLOY.rglob("*") if path.is_file()} - {"README.md"}
    covered = {file for file in files for name in named if file == name or file.startswith(f"{name}/")}
    assert files - covered == {"config/kustomization.yaml"}
    assert [name for name in named if not (DEPLOY / name).exists()] == []


def test_every_alert_is_explained():
    (rules,) = documents((DEPLOY / "monitoring" / "rules.yaml").read_text())

    assert [rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule] == ALERTS


def test_the_labelled_configuration_is_one():
    (example,) = fences(GUIDE, "protobuf")
    config = text_format.Parse(example.content, ModelServerConfig())

    (model,) = config.model_config_list.config
    assert model.name == settings()["MODEL_NAME"]
    assert set(model.version_labels.values()) == set(model.model_version_policy.specific.versions)


def test_what_is_applied_is_there():
    applied = re.findall(r"kubectl apply -k ([\w/]+)", GUIDE_PATH.read_text())

    places = [(ROOT if folder.startswith("serving/") else DEPLOY) / folder for folder in applied]
    assert len(places) > 3
    assert [place for place in places if not (place / "kustomization.yaml").exists()] == []


def test_it_names_the_versions_that_are_checked():
    text = " ".join(GUIDE_PATH.read_text().split())

    assert "Kubernetes {} and {}".format(*KUBERNETES) in text
    assert f"docker:{settings()['TF_SERVING_IMAGE']}`" in text
