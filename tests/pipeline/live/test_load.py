"""`rankline load` and `rankline rank` on a server whose model scores items by their year."""

import json

import numpy as np
import pytest
from tensorflow_serving.apis import predict_pb2

from pipeline.live.load import requests
from schema.dataset import find
from schema.errors import RanklineError
from serving.client import Client
from serving.server import Server, ServerOptions
from serving.server.status import invalid_argument
from serving.tensor_proto import to_array
from tests.serving.certificates import pem, signed, ssl_config
from tests.serving.test_client import Model

TIMEOUT_S = 30
DESCRIPTION = """
label: liked
splits: {by: time, column: at}
ranking: {group: user, item: movie, item_columns: [year]}
features: {year: {type: categorical}}
"""
ROWS = """user,movie,year,at,liked
1,10,1979,1,1
2,20,1985,2,0
2,30,1997,3,1
1,20,1985,4,1
3,10,1979,5,0
"""


class ByYear(Model):
    columns = ("user", "movie", "year")

    def run(self, signature, inputs, outputs, timeout_s=None):
        return [inputs["year"].astype(np.float32) / 2000 for _ in outputs]


class Broken(ByYear):
    def run(self, signature, inputs, outputs, timeout_s=None):
        raise invalid_argument("broken")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films") / "films"
    folder.mkdir()
    (folder / "features.yaml").write_text(DESCRIPTION)
    (folder / "log.csv").write_text(ROWS)
    return folder


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """Serves a model as version 1 that was pushed below `root`, and gives the address."""
    servers = []

    def serve(model, root=None, **options) -> str:
        base_path = (root or tmp_path_factory.mktemp("runs")) / "films" / "serving"
        (base_path / "1").mkdir(parents=True)
        servers.append(Server(ServerOptions("films", str(base_path), **options), load=model))
        servers[-1].start()
        servers[-1].wait_until_available(TIMEOUT_S)
        return f"127.0.0.1:{servers[-1].port}"

    yield serve
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def by_year(serve):
    return serve(ByYear)


@pytest.mark.parametrize("size", [2, 3, 7])
def test_requests_are_of_the_datasets_users_and_items(by_year, folder, size):
    """User 3 was seen last, then 1 and 2; three films, none twice as long as they suffice."""
    with Client(by_year, "films") as client:
        messages = requests(find(folder), client, size)
        again = requests(find(folder), client, size)
    inputs = [predict_pb2.PredictRequest.FromString(message).inputs for message in messages]

    assert [to_array(each["user"]).tolist() for each in inputs] == [[3], [1], [2]]
    for each in inputs:
        films = to_array(each["movie"]).tolist()
        assert len(films) == size
        assert set(films) <= {10, 20, 30}
        assert len(set(films)) == size or size > 3
        years = {10: 1979, 20: 1985, 30: 1997}
        assert to_array(each["year"]).tolist() == [years[film] for film in films]
    assert messages == again


def test_a_model_of_other_data(serve, folder):
    with (
        Client(serve(Model), "films") as client,
        pytest.raises(RanklineError, match="expected one of the model's inputs"),
    ):
        requests(find(folder), client, 2)


@pytest.mark.parametrize("options", [("--clients", "2"), ("--rate", "50")])
def test_load_is_shown_and_written(by_year, folder, tmp_path, rankline, options):
    numbers = tmp_path / "new" / "load.json"
    done = rankline(
        "load",
        "-d",
        str(folder),
        "-t",
        by_year,
        "--seconds",
        "0.5",
        "--warm-up",
        "0.1",
        *options,
        "--json",
        str(numbers),
    )
    report = json.loads(numbers.read_text())
    shown = [line.split() for line in done.stdout.splitlines()]

    assert (done.returncode, done.stderr) == (0, "")
    assert report["errors"] == {}
    assert report["rate"] == (50 if "--rate" in options else None)
    latency = [f"{report['latency_ms'][name]:,.2f}" for name in ("p50", "p90", "p99", "p99.9", "max")]
    assert [f"{report['answered']:,}", f"{report['qps']:,.1f}", *latency, "0"] in shown
    fullest = max(report["histogram"], key=lambda bar: bar["count"])
    assert [f"{fullest['low_ms']:.2f}", f"{fullest['high_ms']:.2f}", f"{fullest['count']:,}", "█" * 40] in shown


def test_if_every_request_fails_so_does_the_command(serve, folder, rankline):
    done = rankline("load", "-d", str(folder), "-t", serve(Broken), "--seconds", "0.2", "--warm-up", "0")

    assert (done.returncode, done.stderr) == (1, "")
    assert "INVALID_ARGUMENT" in done.stdout


@pytest.mark.parametrize("command", [("load", "--seconds", "0.1"), ("rank", "--user", "1")])
def test_nobody_listens(folder, rankline, command):
    done = rankline(*command, "-d", str(folder), "-t", "127.0.0.1:1")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: nobody listens at 127.0.0.1:1; `rankline serve` starts a server\n"


def test_commands_speak_mutual_tls(serve, folder, tmp_path, rankline):
    authority = signed("authority")
    key, _, certificate = signed("client", authority)
    files = {"ca": pem(authority[2]), "cert": pem(certificate), "key": key}
    options = ["-d", str(folder)]
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        options += [f"--{name}", str(tmp_path / name)]
    config = tmp_path / "ssl.pbtxt"
    config.write_text(ssl_config(authority, client_verify=True, custom_ca=files["ca"].decode()))
    options += ["-t", serve(ByYear, tmp_path, ssl_config_file=str(config))]

    ranked = rankline("rank", "--user", "1", "--features", *options)
    without = rankline("rank", "--user", "1", *options)
    loaded = rankline("load", "--seconds", "0.2", "--warm-up", "0", *options)
    options += ["--root", str(tmp_path)]
    promoted = rankline("promote", "--version", "1", *options)
    (tmp_path / "films" / "serving" / "2").mkdir()
    tried = rankline("canary", "--seconds", "0.2", "--max-slower", "1000", *options)
    listed = rankline("versions", *options)

    assert (ranked.returncode, ranked.stderr) == (0, "")
    assert without.stderr == (
        "Error: films: expected a model that knows its items, received one without; --features sends the columns in "
        "the dataset's files\n"
    )
    assert ["1", "0.998", "30", "30"] in [line.split() for line in ranked.stdout.splitlines()]
    assert (loaded.returncode, loaded.stderr) == (0, "")
    assert (promoted.stdout, promoted.stderr) == ("stable is version 1\n", "")
    assert (tried.returncode, tried.stderr) == (0, "")
    assert "the canary also has 100%." in tried.stdout
    assert ["2", "canary", "AVAILABLE", "yes"] in [line.split() for line in listed.stdout.splitlines()]
