"""Reads the deployment files."""

import re
from pathlib import Path
from typing import Any

import yaml

from tests.manifests import ROOT

DEPLOY = ROOT / "serving" / "deploy"
OVERLAYS = ("kubernetes/base", "kubernetes/cpu", "kubernetes/bucket", "kserve")


def manifests() -> list[Path]:
    """The files that are for the cluster, and not for kustomize."""
    files = [path for folder in OVERLAYS for path in (DEPLOY / folder).glob("*.yaml")]
    return sorted(path for path in files if path.name not in ("kustomization.yaml", "name-references.yaml"))


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
