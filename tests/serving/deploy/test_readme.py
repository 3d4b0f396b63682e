"""The claims of the pages on the deployment files."""

import re

from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from tests.manifests import KUBERNETES, ROOT, documents
from tests.serving.conformance import ranker
from tests.serving.deploy.files import DEPLOY, settings
from tests.test_docs import fences, parse, spans, tables
from trainer.params import TrainParams

README = parse("serving/deploy/README.md")
GUIDE_PATH = ROOT / "docs" / "deploy" / "tf-serving.md"
GUIDE = parse("docs/deploy/tf-serving.md")
(_FILES, MEMORY), (_ALERTS,) = tables(README), tables(GUIDE)
FILES, ALERTS = ([row[0].content for row in table] for table in (_FILES, _ALERTS))
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


def memory_of_items(items, units):
    """The README's formula, in bytes."""
    return 4 * (1 + units) * (items + 1)


def test_the_formula_for_the_memory_of_items_is_right():
    with ranker.made(TrainParams(hidden_units=(7, 3))) as (model, transform_output):
        known = ranker.served(model, transform_output).items

    without_entries = 16  # what an index of crosses takes that has no entry
    assert known.bytes == memory_of_items(len(ranker.QUALITY), 7) + without_entries


def test_the_table_of_the_memory_of_items_follows_the_formula():
    assert TrainParams().hidden_units[0] == 128
    for row in MEMORY:
        items, *sizes = (float(cell.content.removesuffix(" MB").replace(",", "")) for cell in row)
        assert sizes == [round(memory_of_items(items, units) / 1e6, 1) for units in (128, 400)]
