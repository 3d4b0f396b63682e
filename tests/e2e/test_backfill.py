"""Day after day: a backfill that is killed and goes on, while a server takes over each new version under load."""

from __future__ import annotations

import collections
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tensorflow_serving.apis.predict_pb2 import PredictResponse

from pipeline.live.load import requests
from pipeline.live.server import server
from pipeline.run.layout import Layout
from schema.dataset import find
from serving import load
from serving.channel import connect
from serving.client import Client
from tests.e2e.conftest import RANKLINE, TIMEOUT_S

pytestmark = pytest.mark.long

DAYS = [f"2026-03-{day:02d}" for day in range(1, 4)]
DESCRIPTION = """
name: days
source: {files: "{YYYY}-{MM}-{DD}.csv"}
label: clicked
ranking: {group: user, item: item}
features: {user: , item: , hour: numeric}
"""
CONFIG = """
spans: {window: 2}
train: {warm_start: true, batch_size: 64, deep_optimizer: {name: adam, learning_rate: 0.01}}
thresholds: {auc: {min: 0, max_drop: 1}, logloss: {max: 9, max_drop: 9}, calibration: {min: 0, max: 9}}
"""


def write_log(folder: Path) -> None:
    """Each day has thirty items more than the one before; of all, the even ones are liked."""
    folder.mkdir()
    (folder / "features.yaml").write_text(DESCRIPTION)
    (folder / "run.yaml").write_text(CONFIG)
    dice = np.random.default_rng(5)
    for day, name in enumerate(DAYS):
        lines = ["clicked,user,item,hour"]
        for _ in range(1200):
            user, item = int(dice.integers(20)), int(dice.integers(30 * (day + 1)))
            clicked = int(dice.random() < (0.2 if item % 2 else 0.8))
            lines.append(f"{clicked},u{user},i{item},{dice.integers(24)}")
        (folder / f"{name}.csv").write_text("\n".join([*lines, ""]))


@dataclass(frozen=True)
class Backfilled:
    """What came of it, and of the requests meanwhile."""

    root: Path
    killed: int
    done: subprocess.CompletedProcess[str]
    failed: collections.Counter[str]
    answered: collections.Counter[int]
    """By the version that has answered."""

    def versions(self) -> list[int]:
        return sorted(int(path.name) for path in (self.root / "days" / "serving").iterdir())


class Requests:
    """Rankings, at a rate, until somebody has ended."""

    def __init__(self, dataset: Path, target: str) -> None:
        with Client(target, "days") as client:
            client.wait_until_available(TIMEOUT_S)
            self._messages = requests(find(dataset), client, 50)
        self._target = target
        self.failed: collections.Counter[str] = collections.Counter()
        self.answered: collections.Counter[int] = collections.Counter()

    def until(self, ended: Callable[[], bool]) -> None:
        with connect(self._target) as channel:
            call = channel.unary_unary(load.PREDICT)

            def ask(message: bytes) -> None:
                response = PredictResponse.FromString(call(message, timeout=TIMEOUT_S))
                self.answered[response.model_spec.version.value] += 1

            while not ended():
                report = load.run(ask, self._messages, clients=4, seconds=2, rate=5, warm_up_s=0)
                self.failed.update(report.errors)


@pytest.fixture(scope="module")
def backfilled(tmp_path_factory) -> Iterator[Backfilled]:
    base = tmp_path_factory.mktemp("backfill")
    write_log(base / "log")
    layout = Layout(base / "runs", "days")
    command = [RANKLINE, "backfill", "--dataset", str(base / "log"), "--root", str(layout.root)]
    with server(layout, base / "server.log") as target:
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as first:
            asked = Requests(base / "log", target)
            asked.until(lambda: first.poll() is not None or kill_in_training(first, layout, day=2))
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as second:
            asked.until(lambda: second.poll() is not None)
            done = subprocess.CompletedProcess(command, second.returncode, *second.communicate())
        last = max(int(path.name) for path in layout.serving.iterdir())
        with Client(target, "days") as client:
            client.wait_until_available(TIMEOUT_S, last)
        asked.until(lambda: asked.answered[last] > 0)
        yield Backfilled(layout.root, first.returncode, done, asked.failed, asked.answered)


def kill_in_training(process: subprocess.Popen[bytes], layout: Layout, day: int) -> bool:
    """Whether it was killed, in the training of that day."""
    logs = sorted((layout.root / "days" / "logs").glob("*/run.log"))
    if len(logs) < day or "epoch 1:" not in logs[day - 1].read_text():
        return False
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return True


def test_who_is_killed_goes_on_and_pushes_a_version_each_day(backfilled):
    assert backfilled.killed == -signal.SIGKILL
    assert (backfilled.done.returncode, backfilled.done.stderr) == (0, "")
    marks = [line.split()[:2] for line in backfilled.done.stdout.splitlines() if line[:3] in ("  =", "  ✓")]
    assert marks == [["=", DAYS[0]], *(["✓", day] for day in DAYS[1:])]
    assert len(backfilled.versions()) == len(DAYS)


def test_no_request_fails_while_versions_come(backfilled):
    assert backfilled.failed == {}
    assert set(backfilled.answered) <= set(backfilled.versions())
    assert {backfilled.versions()[0], backfilled.versions()[-1]} <= set(backfilled.answered)


def test_each_day_is_judged_by_what_was_there_before_it(backfilled):
    (numbers,) = backfilled.root.glob("days/backfill/*/backfill.json")
    content = json.loads(numbers.read_text())
    assert content["rows"] == dict.fromkeys(DAYS[1:], 1200)
    # On the second day both are the same model.
    assert content["judged"][DAYS[1]]["once"] == content["judged"][DAYS[1]]["continuous"]
    # Of the last day's ninety items the first model knows a third, and that of the two days before two thirds.
    last = content["judged"][DAYS[2]]
    assert last["continuous"]["auc"] > last["once"]["auc"] + 0.05
    assert (numbers.parent / "backfill.png").stat().st_size > 0


def test_a_vocabulary_that_grows_is_taken_over_as_far_as_it_was_known(backfilled):
    (numbers,) = backfilled.root.glob("days/backfill/*/backfill.json")
    first, *others = json.loads(numbers.read_text())["steps"]
    assert (first["ids"], first["known_ids"]) == (0, 0)
    assert all(0 < step["known_ids"] < step["ids"] for step in others)
    assert [step["ids"] for step in others] == sorted({step["ids"] for step in others})


def test_once_more_there_is_nothing_to_do(backfilled, rankline):
    versions = backfilled.versions()
    done = rankline("backfill", "--dataset", str(backfilled.root.parent / "log"), "--root", str(backfilled.root))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("done before") == len(DAYS)
    assert done.stdout.partition("each span judged")[2] == backfilled.done.stdout.partition("each span judged")[2]
    assert backfilled.versions() == versions


def test_two_weeks_of_movielens_are_worth_to_be_trained_on(rankline, tmp_path):
    dates = ("--from", "1997-11-13", "--to", "1997-11-27")
    done = rankline("backfill", "--dataset", "movielens_days", *dates, "--root", str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    (numbers,) = tmp_path.glob("movielens_days/backfill/*/backfill.json")
    content = json.loads(numbers.read_text())

    assert len(content["steps"]) == 15
    assert sum(content["rows"].values()) == 13_125
    once, continuous = content["overall"]["once"], content["overall"]["continuous"]
    assert continuous["auc"] > once["auc"]
    assert continuous["logloss"] < once["logloss"]
