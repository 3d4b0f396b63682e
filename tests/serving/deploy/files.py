"""The deployment files, read as those who use them read them."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "serving" / "deploy"
OVERLAYS = ("kubernetes/base", "kubernetes/cpu", "kubernetes/bucket", "kserve")
KUBERNETES = ("1.30", "1.37")
"""The oldest that the manifests are for, and the newest whose schemas there are."""


def documents(text: str) -> list[dict[str, Any]]:
    """What a file of YAML holds."""
    return [document for document in yaml.safe_load_all(text) if document]


def manifests() -> list[Path]:
    """The files that are for the cluster, and not for kustomize."""
    files = [path for folder in OVERLAYS for path in (DEPLOY / folder).glob("*.yaml")]
    return sorted(path for path in files if path.name not in ("kustomization.yaml", "name-references.yaml"))


def kustomized(folder: str) -> list[dict[str, Any]]:
    """What `kubectl apply -k` would send to the cluster."""
    kubectl = shutil.which("kubectl")
    if not kubectl:
        pytest.skip("kubectl is not here, which has kustomize")
    built = subprocess.run([kubectl, "kustomize", DEPLOY / folder], capture_output=True, text=True, check=False)
    assert (built.returncode, built.stderr) == (0, "")
    return documents(built.stdout)


def of_kind(kind: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    """The one document of that kind."""
    (document,) = (document for document in found if document["kind"] == kind)
    return document


def settings() -> dict[str, str]:
    """What config/settings.env says."""
    lines = (DEPLOY / "config" / "settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def composed() -> dict[str, Any]:
    """The service of compose.yaml, its variables put in."""
    known = settings()

    def value(match: re.Match[str]) -> str:
        return known.get(match["name"], match["default"] or "")

    text = re.sub(
        r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*)|:\?[^}]*)?\}", value, (DEPLOY / "compose.yaml").read_text()
    )
    (service,) = yaml.safe_load(text)["services"].values()
    return dict(service)


def flags(command: list[str]) -> dict[str, str]:
    """`--name=value` by name."""
    return dict(argument.removeprefix("--").split("=", 1) for argument in command)
