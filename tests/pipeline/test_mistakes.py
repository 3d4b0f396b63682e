"""The messages about a user's mistakes: one paragraph that says what to do, and no stack trace."""

import socket
import subprocess
import sys

import portpicker
import pytest

from pipeline.cli import main
from pipeline.terminal.console import quiet
from schema.errors import RanklineError
from serving.server import Server, ServerOptions

ROWS = "reader,book,clicked\nann,b1,1\nbob,b2,0\nann,b3,0\n"
SPEC = "label: clicked\nranking: {group: reader, item: book}\n"


@pytest.fixture
def shop(tmp_path):
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "clicks.csv").write_text(ROWS)
    (folder / "features.yaml").write_text(SPEC)
    return folder


@pytest.fixture
def rankline(monkeypatch, capsys):
    """Runs the command; gives its exit status and what it said on standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["rankline", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        return exit_.value.code, capsys.readouterr().err

    return run


def test_a_dataset_that_is_nowhere(rankline):
    assert rankline("validate", "--dataset", "movielns") == (
        1,
        "Error: dataset: expected one of census, criteo, movielens, movielens_days, or a folder with a features.yaml, "
        "received 'movielns'; did you mean 'movielens'?\n",
    )


def test_a_column_that_the_files_lack(rankline, shop):
    (shop / "features.yaml").write_text(SPEC.replace("book", "books"))
    assert rankline("validate", "--dataset", shop) == (
        1,
        f"Error: {shop}/features.yaml: ranking.item: expected a column of the data (reader, book, clicked), "
        "received 'books'; did you mean 'book'?\n",
    )


def test_nobody_listens(rankline, shop):
    target = f"127.0.0.1:{portpicker.pick_unused_port()}"
    status, said = rankline("rank", "--dataset", shop, "--user", "ann", "--target", target)
    assert (status, said) == (1, f"Error: nobody listens at {target}; `rankline serve` starts a server\n")


def test_the_server_has_another_dataset(rankline, shop, tmp_path):
    with Server(ServerOptions(model_name="other", model_base_path=str(tmp_path / "none"))) as server:
        target = f"127.0.0.1:{server.port}"
        assert rankline("rank", "--dataset", shop, "--user", "ann", "--target", target) == (
            1,
            f"Error: {target} answered NOT_FOUND: Could not find any versions of model shop; "
            "it serves another dataset's models, or has none yet\n",
        )


def test_a_user_whom_nobody_knows(rankline, shop):
    assert rankline("rank", "--dataset", shop, "--user", "eve", "--features") == (
        1,
        "Error: reader: expected one of the data's 2, such as bob, ann, received 'eve'\n",
    )


def test_a_port_that_is_in_use(shop, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = ["serve", "--dataset", shop, "--root", tmp_path, "--port", port]
        done = subprocess.run(
            [sys.executable, "-c", "from pipeline.cli import main; main()", *map(str, command)],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == (
        f"Error: cannot listen on 127.0.0.1:{port}: the port is in use or not permitted. "
        "Stop what listens there, or choose another one with --port.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serve", "--port", 65536], "Invalid value for '--port': 65536 is not in the range 0<=x<=65535."),
        (["rank", "--user", "ann", "-k", 0], "Invalid value for '-k': 0 is not in the range x>=1."),
        (["serve", "--log-requests", "nan"], "Invalid value for '--log-requests': nan is not a finite number."),
        (["load", "--seconds", "inf"], "Invalid value for '--seconds': inf is not a finite number."),
        (["runs", "-n", 0], "Invalid value for '--limit' / '-n': 0 is not in the range x>=1."),
        (["rnk"], "No such command 'rnk'. (Did you mean one of: 'rank', 'run'?)"),
    ],
)
def test_options_that_cannot_be(rankline, arguments, said):
    status, text = rankline(*arguments)
    assert status == 2
    assert text.splitlines()[-1] == f"Error: {said}"


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    expected = f"{tmp_path}/file/logs: expected a folder that can be written to: Not a directory"
    with pytest.raises(RanklineError) as caught, quiet(tmp_path / "file" / "logs" / "run.log"):
        pass
    assert str(caught.value) == expected
