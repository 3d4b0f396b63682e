"""The connection to a Kubeflow Pipelines server: its address, its tokens, and its errors."""

import ssl

import pytest

from pipeline.platforms.kubeflow.client import connected
from pipeline.platforms.kubeflow.server import Package, Server
from schema.errors import RanklineError
from tests.pipeline.pipelines_server import PipelinesServer, serving
from tests.pipeline.platforms.kubeflow.test_package import GOLDEN
from tests.serving.certificates import pem, signed

pytestmark = pytest.mark.usefixtures("without_settings")


@pytest.fixture(scope="module")
def package():
    return Package(GOLDEN)


# Who asks.


def test_a_token_comes_from_the_environment(server, host, package, monkeypatch):
    server.lets_in = "from-the-environment"
    monkeypatch.setenv("KF_PIPELINES_TOKEN", "from-the-environment")
    with connected(host) as client:
        Server(client).submit(package, {})
    assert set(server.tokens) == {"Bearer from-the-environment"}


def test_a_token_file_goes_before_the_environment_and_is_read_anew(server, host, package, monkeypatch, tmp_path):
    """As Kubernetes writes a new one into a pod's volume before the old one ends."""
    monkeypatch.setenv("KF_PIPELINES_TOKEN", "from-the-environment")
    (tmp_path / "token").write_text("first\n")
    server.lets_in = "first"
    with connected(host, token_file=tmp_path / "token") as client:
        Server(client).submit(package, {})
        server.lets_in = "second"
        (tmp_path / "token").write_text("second\n")
        Server(client).submit(package, {})
    assert list(dict.fromkeys(server.tokens)) == ["Bearer first", "Bearer second"]


def test_a_pod_finds_server_token_and_namespace_by_itself(server, host, package, monkeypatch, tmp_path):
    server.lets_in, server.namespaces = "of-the-pod", ["team"]
    (tmp_path / "token").write_text("of-the-pod")
    (tmp_path / "namespace").write_text("team")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setattr("pipeline.platforms.kubeflow.client.IN_CLUSTER", host)
    monkeypatch.setattr("pipeline.platforms.kubeflow.client.SERVICE_ACCOUNT_TOKEN", tmp_path / "token")
    monkeypatch.setattr("kfp.Client._NAMESPACE_PATH", str(tmp_path / "namespace"))
    with connected(None) as client:
        Server(client).submit(package, {})
    assert [experiment.namespace for experiment in server.experiments] == ["team"]


def test_a_namespace_goes_with_all_that_is_asked(server, host, package):
    server.namespaces = ["team", "others"]
    with connected(host, "team") as client:
        Server(client).submit(package, {})
        Server(client).schedule(package, "nightly", "0 0 3 * * *")
        assert [each.name for each in Server(client).schedules()] == ["nightly"]
    with connected(host, "others") as client:
        assert Server(client).schedules() == []
    assert {each.namespace for each in (*server.experiments, *server.pipelines)} == {"team"}


def test_authorities_of_ones_own_vouch_for_the_server(server, package, tmp_path):
    authority = signed("authority")
    key, _, certificate = signed("localhost", authority)
    (tmp_path / "server.pem").write_bytes(key + pem(certificate))
    (tmp_path / "ca.pem").write_bytes(pem(authority[2]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    with serving(server, context) as address:
        with connected(address, ca=tmp_path / "ca.pem") as client:
            Server(client).submit(package, {})
        with (
            pytest.raises(RanklineError, match=f"{address}: expected Kubeflow Pipelines, .*certificate verify failed"),
            connected(address),
        ):
            pass
    assert len(server.runs) == 1


# What goes wrong.


@pytest.mark.parametrize(
    ("host", "message"),
    [
        (None, "--host: expected the address of Kubeflow Pipelines, received none; after `kubectl port-forward"),
        ("localhost:8080", "--host: expected an address such as http://localhost:8080, received 'localhost:8080'"),
        ("http://127.0.0.1:1", r"http://127\.0\.0\.1:1: expected Kubeflow Pipelines, received no answer: .*refused"),
    ],
)
def test_nobody_there(host, message):
    with pytest.raises(RanklineError, match=message), connected(host):
        pass


@pytest.mark.parametrize(
    ("behaviour", "token", "namespace", "message"),
    [
        ({"lets_in": "right"}, "wrong", None,
         r"expected a token in the variable KF_PIPELINES_TOKEN or in --token-file, received one that it refuses \(Req"),
        ({"lets_in": "right"}, None, None, "expected a token in the variable .*, received none"),
        ({"namespaces": ["team"]}, None, None, "--namespace: expected yours, since .* has several users, received "),
        ({"namespaces": ["team"]}, None, "others",
         r"expected a --namespace in which you may do this, received a refusal \(User is not authorized .* others\)"),
        ({"login_page": True}, None, None, "expected Kubeflow Pipelines, received a page, perhaps to log in; try"),
    ],
)  # fmt: skip
def test_a_server_that_lets_nobody_in(server, host, package, monkeypatch, behaviour, token, namespace, message):
    for name, value in behaviour.items():
        setattr(server, name, value)
    if token:
        monkeypatch.setenv("KF_PIPELINES_TOKEN", token)
    with pytest.raises(RanklineError) as caught, connected(host, namespace) as client:
        Server(client).submit(package, {})
    assert caught.match(message)
    assert server.runs == []
    assert not token or token not in str(caught.value)


def test_a_server_of_something_else(package):
    with (
        serving(PipelinesServer()) as host,
        pytest.raises(RanklineError, match="expected Kubeflow Pipelines, received Not Found"),
        connected(f"{host}/elsewhere"),
    ):
        pass


def test_a_token_file_that_is_not_there(host, tmp_path):
    with (
        pytest.raises(RanklineError, match="none: expected a file with a token: No such file"),
        connected(host, token_file=tmp_path / "none"),
    ):
        pass
