"""Reads manifests for a cluster."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
KUBERNETES = ("1.30", "1.37")
"""The oldest that the manifests are for, and the newest whose schemas there are."""


def documents(text: str) -> list[dict[str, Any]]:
    """What a file of YAML holds."""
    return [document for document in yaml.safe_load_all(text) if document]


def kustomized(folder: Path) -> list[dict[str, Any]]:
    """What `kubectl apply -k` would send to the cluster."""
    kubectl = shutil.which("kubectl")
    if not kubectl:
        pytest.skip("kubectl is not here, which has kustomize")
    built = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=False)
    assert (built.returncode, built.stderr) == (0, "")
    return documents(built.stdout)


def of_kind(kind: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    """The one document of that kind."""
    (document,) = (document for document in found if document["kind"] == kind)
    return document
