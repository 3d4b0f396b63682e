"""`rankline promote`, `canary`, `rollback` and `versions`, on a server of a model that was run and pushed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.live.server import server
from pipeline.run.layout import Layout
from serving.client import Client


@pytest.fixture(scope="module")
def arguments(stranger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    """Options that lead to a server of versions 1 and 2, which are the same model."""
    root = tmp_path_factory.mktemp("rollout") / "runs"
    layout = Layout(root, "stranger")
    (version,) = stranger.root.versions()
    for number in ("1", "2"):
        shutil.copytree(stranger.root.serving / version, layout.serving / number)
    with server(layout, root / "server.log") as target:
        with Client(target, "stranger") as client:
            client.wait_until_available(60)
        yield "--dataset", str(stranger.folder), "--root", str(root), "--target", target


def test_from_a_first_label_to_the_way_back(arguments: tuple[str, ...], rankline: Callable) -> None:
    """One story: each command begins where the one before it ended."""
    done = rankline("canary", *arguments)
    assert (done.returncode, done.stderr) == (
        1,
        "Error: version 2 of model stranger is the stable one: expected another as canary\n",
    )
    done = rankline("promote", *arguments)
    assert done.stderr == "Error: model stranger has no canary: say which version to promote\n"

    done = rankline("promote", *arguments, "--version", "1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "stable is version 1\n", "")

    done = rankline("canary", *arguments, "--seconds", "1", "--max-slower", "0")
    assert done.returncode == 3
    assert "Taken back: the canary does worse.\n  99th percentile: expected at most 0 times the stable" in done.stdout
    assert done.stdout.endswith("stable is version 1\n")

    done = rankline("canary", *arguments, "--seconds", "1", "--max-slower", "100")
    assert done.returncode == 0, done
    assert done.stdout.startswith("stable is version 1, canary is version 2\n")
    assert "Of the ten best items of the stable version, the canary also has 100%." in done.stdout
    assert "0.00%" in done.stdout

    done = rankline("promote", *arguments)
    assert done.stdout == "stable is version 2, previous is version 1\n"
    done = rankline("rollback", *arguments)
    assert done.stdout == "stable is version 1, previous is version 2\n"

    done = rankline("versions", *arguments)
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["2", "previous", "AVAILABLE", "yes"] in rows
    assert ["1", "stable", "AVAILABLE", "yes"] in rows

    group = ("--user", "u1", "-k", "1")
    named = rankline("rank", *arguments[:2], *arguments[4:], *group, "--label", "stable")
    assert (named.returncode, named.stderr) == (0, "")
    unknown = rankline("rank", *arguments[:2], *arguments[4:], *group, "--label", "canary")
    assert unknown.stderr.endswith("Unrecognized servable version label: canary\n")


def test_nothing_is_pushed(stranger, tmp_path: Path, rankline: Callable) -> None:
    done = rankline("versions", "--dataset", str(stranger.folder), "--root", str(tmp_path), "--target", "127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr == "Error: nobody listens at 127.0.0.1:1; `rankline serve` starts a server\n"
