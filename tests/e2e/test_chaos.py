"""Runs that are killed at random moments, in every component, while a server watches what is pushed; and what the
same command makes of it.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from serving.client import Client
from serving.server import Server, ServerOptions
from tests.e2e.conftest import RANKLINE, TIMEOUT_S, Root, Stranger
from tests.e2e.test_resume import progress
from tests.pipeline.consistency import check_metadata, times_made

ROUNDS = 4
"""Of eleven kills each."""
START_S = 8.0
"""The longest that a run is left before it has said anything."""
SERVER_TIMEOUT_S = 60
SETTINGS = ("--set", "train.epochs=6", "--set", "train.patience=6", "--set", "train.batch_size=64")


@pytest.fixture(scope="module")
def dataset(stranger: Stranger, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stranger.copy(tmp_path_factory.mktemp("chaos") / "data")


@dataclass(frozen=True)
class Chaos:
    """Runs of a dataset in a root of their own.

    Attributes:
        dataset: its folder.
        root: of the runs.
    """

    dataset: Path
    root: Root

    @property
    def metadata(self) -> Path:
        return self.root.path / "metadata.sqlite"

    def start(self) -> subprocess.Popen[str]:
        command = [RANKLINE, "run", "--dataset", str(self.dataset), "--root", str(self.root.path), "--no-serve"]
        return subprocess.Popen([*command, *SETTINGS], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self) -> str:
        """Runs to the end; gives what was said."""
        with self.start() as run:
            said, _ = run.communicate(timeout=TIMEOUT_S)
        assert run.returncode == 0, said
        return said

    def kill(self, after: str, seconds: float) -> None:
        """Runs, and kills the process so long after it has said a text (at once, where that is empty)."""
        with self.start() as run:
            assert run.stdout
            said = ""
            while after not in said:
                line = run.stdout.readline()
                assert line, said
                said += line
            time.sleep(seconds)
            run.kill()
            said += run.stdout.read()
        assert run.returncode == -signal.SIGKILL, said

    def version(self) -> Path:
        """The newest version's folder."""
        return max((path for path in self.root.serving.iterdir() if path.name.isdigit()), key=lambda path: path.name)

    def answers(self) -> Mapping[str, np.ndarray]:
        """What the pushed model says of the test rows."""
        files = sorted(map(str, self.root.path.glob("*/artifacts/ExampleGen/examples/*/Split-test/*")))
        rows = tf.constant(list(tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator()))
        answers = tf.saved_model.load(str(self.version())).signatures["serving_default"](examples=rows)
        return {name: answer.numpy() for name, answer in answers.items()}


@pytest.fixture(scope="module")
def undisturbed(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Chaos:
    chaos = Chaos(dataset, Root(tmp_path_factory.mktemp("undisturbed") / "runs", "stranger", ()))
    chaos.run()
    return chaos


def assert_same_answers(some: Mapping[str, np.ndarray], others: Mapping[str, np.ndarray]) -> None:
    assert set(some) == set(others)
    for name in some:
        np.testing.assert_array_equal(some[name], others[name])


@pytest.mark.long
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_a_run_that_is_killed_again_and_again_comes_to_the_undisturbed_end(
    undisturbed: Chaos, dataset: Path, tmp_path: Path, seed: int
) -> None:
    """At a random moment of its start, and then of each component in turn."""
    dice = random.Random(seed)  # noqa: S311 (the same moments each time)
    chaos = Chaos(dataset, Root(tmp_path / "runs", "stranger", ()))
    (log,) = undisturbed.root.logs()
    seconds = json.loads((log / "summary.json").read_text())["seconds"]
    points = [("", START_S), *zip(["log: ", *seconds], seconds.values(), strict=False)]
    options = ServerOptions(
        "stranger", str(chaos.root.serving), file_system_poll_wait_seconds=0.01, max_num_load_retries=0
    )
    with Server(options) as server, Client(f"127.0.0.1:{server.port}", "stranger") as client:
        for kills, (after, longest) in enumerate(points, 1):
            chaos.kill(after, dice.random() * longest)
            check_metadata(chaos.metadata, kills)
        chaos.run()
        check_metadata(chaos.metadata, len(points))
        server.wait_until_available(SERVER_TIMEOUT_S)
        assert [(str(status.version), status.error) for status in client.status()] == [(chaos.version().name, "")]
    assert times_made(chaos.metadata) == dict.fromkeys(times_made(undisturbed.metadata), 1)
    assert chaos.root.versions() == [chaos.version().name]
    assert_same_answers(chaos.answers(), undisturbed.answers())


@pytest.mark.long
def test_what_was_damaged_is_made_again(undisturbed: Chaos) -> None:
    """One bit of what a former run has written is another one, and the next run finds it."""
    before = undisturbed.answers()
    (data,) = undisturbed.root.path.glob("*/artifacts/Transform/transformed_examples/*/Split-train/*")
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    said = undisturbed.run()

    assert f"not reused: {data.parent.parent} is not as it was written" in said
    assert [name for name, word in progress(said).items() if word == "unchanged"][:4] == [
        "ExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator",
    ]  # fmt: skip
    assert "unchanged" not in (progress(said)["Transform"], progress(said)["Trainer"])
    assert_same_answers(undisturbed.answers(), before)
    assert list(dict.fromkeys(progress(undisturbed.run()).values())) == ["unchanged"]
