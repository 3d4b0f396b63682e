"""Commands whose server does not answer."""

import threading

import pytest

from pipeline.live.errors import errors_for_people, wait_while_loading
from schema.errors import RanklineError
from serving.client import Client, FeatureError
from serving.server import Server, ServerOptions

TIMEOUT_S = 30


def test_nobody_listens():
    with (
        Client("127.0.0.1:1", "toys") as client,
        pytest.raises(RanklineError, match=r"^nobody listens at 127\.0\.0\.1:1; `rankline serve` starts a server$"),
    ):
        wait_while_loading(client)


def test_a_server_of_other_models(tmp_path):
    with (
        Server(ServerOptions("dolls", str(tmp_path))) as server,
        Client(f"127.0.0.1:{server.port}", "toys") as client,
        pytest.raises(RanklineError, match=r"model toys.*; it serves another dataset's models, or has none yet$"),
    ):
        wait_while_loading(client)


def test_a_server_that_is_loading_the_model_is_waited_for(tmp_path):
    """It loads until it has been waited for longer than for one that is not there."""
    (tmp_path / "1").mkdir()
    go_on = threading.Event()

    def load(servable_id, path):
        go_on.wait(TIMEOUT_S)
        raise ValueError("a broken model")

    options = ServerOptions("toys", str(tmp_path), max_num_load_retries=0)
    with Server(options, load=load) as server, Client(f"127.0.0.1:{server.port}", "toys") as client:
        threading.Timer(0.6, go_on.set).start()
        with pytest.raises(RanklineError, match=r"^model toys version 1: .*"):
            wait_while_loading(client)
    assert go_on.is_set()


@pytest.mark.parametrize("error", [FeatureError("no such feature"), ValueError("ours")])
def test_what_is_not_the_servers_fault(error):
    expected = RanklineError if isinstance(error, FeatureError) else ValueError
    with pytest.raises(expected, match=str(error)), errors_for_people():
        raise error
