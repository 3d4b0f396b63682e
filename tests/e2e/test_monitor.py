"""`rankline serve --log-requests`, and `rankline monitor` on its log."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import portpicker
import pytest

from serving.client import Client
from tests.e2e.conftest import RANKLINE


@pytest.fixture(scope="module")
def logged(stranger) -> tuple[str, ...]:
    """Options that lead to a run whose server was asked for all 30 movies for 20 users, and stopped."""
    arguments = "--dataset", str(stranger.folder), "--root", str(stranger.root.path)
    port = portpicker.pick_unused_port()
    ports = f"--port={port}", "--rest-api-port=0"
    with subprocess.Popen([RANKLINE, "serve", *arguments, *ports, "--log-requests", "1"]) as server:
        try:
            with Client(f"127.0.0.1:{port}", "stranger") as client:
                client.wait_until_available(60)
                movies = range(30)
                tags = [
                    [tag for bit, tag in enumerate(("drama", "comedy", "war")) if movie >> bit & 1] for movie in movies
                ]
                candidates = {"movie": list(movies), "tags": tags, "price": [float(movie % 5) for movie in movies]}
                for user in range(20):
                    client.rank({"user": f"u{user}"}, candidates)
        finally:
            server.terminate()
    return arguments


def test_the_log_is_compared_with_the_run(stranger, logged, rankline: Callable, tmp_path: Path) -> None:
    numbers = tmp_path / "monitor.json"
    labels = str(stranger.folder / "day2.csv")
    lenient = ("--max-skew", "1", "--max-calibration", "9")
    done = rankline("monitor", *logged, "--labels", labels, "--window", "all", *lenient, "--json", str(numbers))
    assert (done.returncode, done.stderr) == (0, ""), done
    found = json.loads(numbers.read_text())
    (window,) = found["windows"]
    assert (window["requests"], window["candidates"]) == (20, 600)
    assert 100 < window["labelled"] < 600
    assert window["auc"] > 0.6
    assert set(found["skew"]) == {"user", "movie", "tags", "price"}

    page = tmp_path / "monitor.html"
    done = rankline("monitor", *logged, "--max-skew", "0", "--output", str(page))
    assert done.returncode == 3
    assert "limits are exceeded" in page.read_text()
    assert "price: expected values that differ from those of the train split by at most 0, received" in done.stdout


def test_there_is_no_log(stranger, rankline: Callable, tmp_path: Path) -> None:
    done = rankline("monitor", "--dataset", str(stranger.folder), "--root", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.endswith("expected files of a request log, found none; `rankline serve --log-requests` logs\n")
