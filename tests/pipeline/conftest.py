"""A Kubeflow Pipelines server for tests."""

import pytest

from tests.pipeline.pipelines_server import PipelinesServer, serving


@pytest.fixture
def server():
    """What it knows, and how it behaves."""
    return PipelinesServer()


@pytest.fixture
def host(server, without_settings):
    """Its address."""
    with serving(server) as address:
        yield address


@pytest.fixture
def without_settings(monkeypatch, tmp_path):
    """As on a machine without settings for Kubeflow of its own, and without waits."""
    for name in (
        "KF_PIPELINES_ENDPOINT",
        "KF_PIPELINES_TOKEN",
        "KF_PIPELINES_SA_TOKEN_PATH",
        "KUBERNETES_SERVICE_HOST",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("kfp.Client._LOCAL_KFP_CONTEXT", str(tmp_path / "none" / "context.json"))
    monkeypatch.setattr("pipeline.platforms.kubeflow.server.POLL_S", 0.001)
