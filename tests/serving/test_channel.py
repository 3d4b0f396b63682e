"""TLS between the clients and the embedded server, and certificate files with wrong contents."""

import asyncio
import contextlib
import shutil

import pytest

from serving.async_client import AsyncClient
from serving.channel import Tls, TlsError
from serving.client import Client, NotFoundError, UnavailableError
from serving.rollout import Rollout
from serving.server import Server, ServerOptions
from tests.serving.asking import wait_until
from tests.serving.certificates import pem, signed

TIMEOUT_S = 30


@pytest.fixture
def files(tmp_path, authority):
    """Paths of PEM files, by what they hold."""
    key, _, certificate = signed("client", authority)
    contents = {
        "ca": pem(authority[2]),
        "another_ca": pem(signed("another")[2]),
        "cert": pem(certificate),
        "key": key,
        "another_key": signed("client", authority)[0],
        "junk": b"junk",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return {name: tmp_path / name for name in [*contents, "none"]}


@pytest.fixture
def target(base_path, ssl_config_file, authority):
    """A server without models that speaks TLS; of clients as well if it is mutual."""
    servers = []

    def target(mutual: bool) -> str:
        verified = {"client_verify": True, "custom_ca": pem(authority[2]).decode()} if mutual else {}
        servers.append(Server(ServerOptions("toy", str(base_path), ssl_config_file=ssl_config_file(**verified))))
        servers[-1].start()
        return f"127.0.0.1:{servers[-1].port}"

    yield target
    for server in servers:
        server.stop()


@pytest.mark.parametrize(("mutual", "given"), [(False, ["ca"]), (True, ["ca", "cert", "key"])])
def test_tls(target, files, mutual, given):
    """Who gets through hears that the model is not there."""
    address = target(mutual)
    tls = Tls(**{name: files[name] for name in given})

    async def status():
        async with AsyncClient(address, "toy", TIMEOUT_S, tls=tls) as client:
            await client.status()

    with Client(address, "toy", TIMEOUT_S, tls=tls) as client, pytest.raises(NotFoundError):
        client.status()
    with pytest.raises(NotFoundError):
        asyncio.run(status())
    with Rollout([address], "toy", "", tls=tls) as rollout:
        assert rollout.labels() == {}


@pytest.mark.parametrize(
    ("mutual", "given", "message"),
    [
        (False, None, r"hung up; perhaps it expects TLS"),
        (False, {"ca": "another_ca"}, r"does not speak TLS, or not with a certificate that is trusted .*VERIFY_FAILED"),
        (True, {"ca": "ca"}, r"hung up; perhaps it expects TLS, or a certificate of its clients"),
    ],
)
def test_without_the_right_certificates_nothing_is_answered(target, files, mutual, given, message):
    tls = given and Tls(**{name: files[file] for name, file in given.items()})
    with (
        Client(target(mutual), "toy", timeout_s=0.5, tls=tls) as client,
        pytest.raises(UnavailableError, match=rf"^127\.0\.0\.1:\d+ {message}"),
    ):
        client.status()


def test_tls_with_a_server_that_does_not_speak_it(base_path, files):
    with (
        Server(ServerOptions("toy", str(base_path))) as server,
        Client(f"127.0.0.1:{server.port}", "toy", timeout_s=0.5, tls=Tls(files["ca"])) as client,
        pytest.raises(UnavailableError, match="does not speak TLS, or not with a certificate that is trusted"),
    ):
        client.status()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ca": "none"}, "none: expected certificates of authorities as PEM: No such file or directory"),
        ({"ca": "junk"}, "junk: expected certificates of authorities as PEM, found something else"),
        ({"cert": "cert"}, "cert: expected a client's private key with its certificate, received none"),
        ({"key": "key"}, "key: expected a client's certificate with its private key, received none"),
        ({"cert": "cert", "key": "another_key"}, "another_key: expected a certificate and its private key, without a "),
        ({"cert": "cert", "key": "none"}, "none: expected a certificate .* as PEM: No such file or directory"),
    ],
)
def test_files_that_do_not_fit(files, given, message):
    with pytest.raises(TlsError, match=message):
        Client("localhost:1", "toy", tls=Tls(**{name: files[file] for name, file in given.items()}))


def test_servers_of_one_name_are_asked_by_turns(toy_models, tmp_path):
    with contextlib.ExitStack() as running:
        ports = []
        for version in (1, 2):
            shutil.copytree(toy_models[version], tmp_path / f"only_{version}" / str(version))
            server = running.enter_context(Server(ServerOptions("toy", str(tmp_path / f"only_{version}"))))
            server.wait_until_available(TIMEOUT_S)
            ports.append(server.port)
        name = f"ipv4:127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}"  # as what DNS says of a headless service
        client = running.enter_context(Client(name, "toy", TIMEOUT_S))

        # The second connection may be made a moment after the first.
        seen = set()
        wait_until(lambda: seen.add(client.status()[0].version) or seen == {1, 2})
