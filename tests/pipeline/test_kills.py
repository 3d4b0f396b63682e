"""A chain of two nodes that is killed at random moments; tests/e2e/test_chaos.py has whole runs."""

import random
import time
from pathlib import Path

from pipeline.run.layout import Layout
from pipeline.run.lock import locked
from tests.forking import started
from tests.pipeline.consistency import check_metadata, times_made
from tests.pipeline.run.test_node import chain

KILLS = 10


def run(folder: Path, run_id: str) -> None:
    with locked(Layout(folder, "toy"), run_id):
        pipeline = chain(folder, run_id)
        for node in pipeline.node_ids():
            pipeline.launch(node)


def test_whenever_a_run_is_killed_metadata_is_whole_and_nothing_is_made_twice(tmp_path):
    metadata = tmp_path / "metadata.sqlite"
    for _ in range(2):  # the first waits for the imports
        begin = time.monotonic()
        started(run, tmp_path, "undisturbed").join()
        longest = time.monotonic() - begin
        metadata.unlink()

    dice = random.Random(1)  # noqa: S311 (the same moments each time)
    for killed in range(1, KILLS + 1):
        process = started(run, tmp_path, str(killed))
        process.join(dice.random() * longest)
        process.kill()
        process.join()
        check_metadata(metadata, killed)
    last = started(run, tmp_path, "last")
    last.join()
    assert last.exitcode == 0
    check_metadata(metadata, KILLS)
    assert times_made(metadata) == {"Write": 1, "Read": 1}
