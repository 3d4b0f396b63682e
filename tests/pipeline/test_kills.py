"""A chain of two nodes that is killed at random moments; whole runs are in tests/e2e/test_chaos.py."""

import multiprocessing
import random
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from pipeline.layout import Layout
from pipeline.lock import locked
from tests.pipeline.consistency import check_metadata, times_made
from tests.pipeline.test_node import chain

PROJECT = Path(__file__).parents[2]
KILLS = 10


def run(folder: Path, run_id: str) -> None:
    with locked(Layout(folder, "toy"), run_id):
        pipeline = chain(folder, run_id)
        for node in pipeline.node_ids():
            pipeline.launch(node)


@pytest.fixture
def start(tmp_path, monkeypatch) -> Callable[[str], BaseProcess]:
    """Starts a run of that name, in a process that has imported TFX already."""
    monkeypatch.syspath_prepend(str(PROJECT))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pipeline.node"])

    def process(run_id: str) -> BaseProcess:
        started = context.Process(target=run, args=(tmp_path, run_id))
        started.start()
        return started

    return process


def test_whenever_a_run_is_killed_metadata_is_whole_and_nothing_is_made_twice(tmp_path, start):
    metadata = tmp_path / "metadata.sqlite"
    for _ in range(2):  # the first waits for the imports
        begin = time.monotonic()
        start("undisturbed").join()
        longest = time.monotonic() - begin
        metadata.unlink()

    dice = random.Random(1)  # noqa: S311 (the same moments each time)
    for killed in range(1, KILLS + 1):
        process = start(str(killed))
        process.join(dice.random() * longest)
        process.kill()
        process.join()
        check_metadata(metadata, killed)
    last = start("last")
    last.join()
    assert last.exitcode == 0
    check_metadata(metadata, KILLS)
    assert times_made(metadata) == {"Write": 1, "Read": 1}
