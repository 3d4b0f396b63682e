"""Runs that are killed at random moments, in every component, while a server watches the pushed versions; and the same
command afterwards.
"""

from __future__ import annotations

import json
import random
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from serving.client import Client
from serving.server import Server, ServerOptions
from tests.e2e.conftest import Root, Stranger
from tests.e2e.test_resume import progress
from tests.forking import started_rankline
from tests.pipeline.consistency import check_metadata, times_made

ROUNDS = 4
"""Of ten or eleven kills each."""
START_S = 2.0
"""The longest that a run is left before it has said anything."""
SERVER_TIMEOUT_S = 60
SETTINGS = ("--set", "train.epochs=6", "--set", "train.patience=6", "--set", "train.batch_size=64")


class Chaos(Stranger):
    """The stranger's dataset, run in processes that can be killed."""

    @property
    def metadata(self) -> Path:
        return self.root.path / "metadata.sqlite"

    def run(self) -> str:
        """Runs to the end; gives what was said."""
        run, output = started_rankline(*self.arguments)
        with output:
            said = output.read()
        run.join()
        assert run.exitcode == 0, said
        return said

    def kill(self, after: str, until: str, seconds: float) -> bool:
        """Runs, and kills the process so long after it has said a text, or as soon as it says another.

        Returns:
            Whether it was killed; what it says last may come too late for that.
        """
        run, output = started_rankline(*self.arguments)
        said = ""
        timer = threading.Timer(seconds, run.kill)
        with output:
            while after not in said:
                line = output.readline()
                assert line, said
                said += line
            timer.start()
            for line in output:
                said += line
                if until in line:
                    break
            run.kill()
        timer.cancel()
        run.join()
        assert run.exitcode in (0, -signal.SIGKILL), said
        return run.exitcode != 0

    def version(self) -> Path:
        """The newest version's folder."""
        return max((path for path in self.root.serving.iterdir() if path.name.isdigit()), key=lambda path: path.name)

    def test_rows(self) -> list[Path]:
        return sorted(self.root.path.glob("*/artifacts/ExampleGen/examples/*/Split-test/*"))


def in_its_own(folder: Path) -> Chaos:
    """The dataset and the root of its runs, of which there is none yet."""
    chaos = Chaos(folder / "data", Root(folder / "runs", "stranger", ()), settings=SETTINGS)
    chaos.copy(chaos.folder)
    return chaos


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Chaos:
    chaos = in_its_own(tmp_path_factory.mktemp("undisturbed"))
    chaos.run()
    return chaos


def assert_same_answers(some: Path, other: Path, examples: Sequence[Path]) -> None:
    """Compares what two models say of the rows in some files, to the last bit."""
    rows = tf.constant(list(tf.data.TFRecordDataset(list(map(str, examples)), "GZIP").as_numpy_iterator()))
    answers, others = (
        tf.saved_model.load(str(model)).signatures["serving_default"](examples=rows) for model in (some, other)
    )
    assert len(rows) > 100
    assert set(answers) == set(others)
    for name in answers:
        np.testing.assert_array_equal(answers[name], others[name])


@pytest.mark.long
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_a_run_that_is_killed_again_and_again_comes_to_the_undisturbed_end(
    undisturbed: Chaos, tmp_path: Path, seed: int
) -> None:
    """At a random moment of its start, and then of each component in turn."""
    dice = random.Random(seed)  # noqa: S311 (the same moments each time)
    chaos = in_its_own(tmp_path)
    (log,) = undisturbed.root.logs()
    seconds = json.loads((log / "summary.json").read_text())["seconds"]
    said = ["", "log: ", *(f" {node} " for node in seconds)]
    points = list(zip(said, said[1:], [START_S, *seconds.values()], strict=False))
    options = ServerOptions(
        "stranger", str(chaos.root.serving), file_system_poll_wait_seconds=0.01, max_num_load_retries=0
    )
    with Server(options) as server, Client(f"127.0.0.1:{server.port}", "stranger") as client:
        kills = 0
        for after, until, longest in points:
            kills += chaos.kill(after, until, dice.random() * longest)
            check_metadata(chaos.metadata, kills)
        assert kills >= len(points) - 1
        chaos.run()
        check_metadata(chaos.metadata, kills)
        server.wait_until_available(SERVER_TIMEOUT_S)
        assert [(str(status.version), status.error) for status in client.status()] == [(chaos.version().name, "")]
    assert times_made(chaos.metadata) == dict.fromkeys(times_made(undisturbed.metadata), 1)
    assert chaos.root.versions() == [chaos.version().name]
    assert_same_answers(chaos.version(), undisturbed.version(), undisturbed.test_rows())


@pytest.mark.long
def test_what_was_damaged_is_made_again(undisturbed: Chaos) -> None:
    """One bit of what a former run has written is another one, and the next run finds it."""
    before = undisturbed.version()
    (data,) = undisturbed.root.path.glob("*/artifacts/Transform/transformed_examples/*/Split-train/*")
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    said = undisturbed.run()
    made = progress(said)

    assert f"not reused, since its files have changed: {data.parent.parent}" in said
    unchanged = {name for name, word in made.items() if word == "unchanged"} - {"Pusher"}
    assert unchanged == set(list(made)[: list(made).index("Transform")])
    assert_same_answers(undisturbed.version(), before, undisturbed.test_rows())
    again = progress(undisturbed.run())
    # A run has a report of its own, whatever else is as it was.
    assert {name for name, word in again.items() if word != "unchanged"} == {"LatestBlessedModel", "Report"}
