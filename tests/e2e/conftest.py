"""The runs that the tests of the whole chain share, since a run takes long."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

RANKLINE = str(Path(sys.executable).with_name("rankline"))
TIMEOUT_S = 600
SECRET = "planted-in-the-environment"  # noqa: S105 (looked for in what runs write)


@dataclass(frozen=True)
class Root:
    """A folder of runs, and the commands that were run in it, one after the other."""

    path: Path
    dataset: str
    done: tuple[subprocess.CompletedProcess[str], ...]

    @property
    def serving(self) -> Path:
        return self.path / self.dataset / "serving"

    def versions(self) -> list[str]:
        """The pushed versions, the oldest first; whatever else lies there included."""
        return sorted(path.name for path in self.serving.iterdir())

    def logs(self) -> list[Path]:
        """The log folders of all runs, the oldest first."""
        return sorted((self.path / self.dataset / "logs").iterdir())


def _command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [RANKLINE, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env=_with_secrets()
    )


def _with_secrets() -> Mapping[str, str]:
    """The environment of a run, with `SECRET` in it where passwords and tokens are expected, and elsewhere."""
    names = ("MLMD_PASSWORD", "KF_PIPELINES_TOKEN", "AWS_SECRET_ACCESS_KEY", "OF_NO_MEANING_TO_ANYBODY")
    return {**os.environ, **dict.fromkeys(names, SECRET)}


def files_that_tell(folder: Path, secret: str) -> list[Path]:
    """The files below a folder in which a text can be found, compressed ones included."""

    def content(path: Path) -> bytes:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()

    return [path for path in folder.rglob("*") if path.is_file() and secret.encode() in content(path)]


@pytest.fixture(scope="session")
def movielens(
    tmp_path_factory: pytest.TempPathFactory, on_terminal: Callable[..., subprocess.CompletedProcess[str]]
) -> Root:
    """The main job as `make run` calls it, twice in the same folder: in a pipe, then on a terminal."""
    root = tmp_path_factory.mktemp("movielens") / "runs"
    first = _command("run", "--root", str(root))
    assert first.returncode == 0, first
    second = on_terminal([RANKLINE, "run", "--root", str(root)], columns=200)
    return Root(root, "movielens", (first, second))


STRANGER = """
name: stranger
label: {column: stars, positive: ">= 4"}
ranking: {group: user, item: movie, item_columns: [tags, price], title: title}
features:
  user:
  movie:
  tags: {type: multivalent, separator: "|"}
  price: {type: numeric, max_missing: 0.5}
"""
TITLES = [f"Movie {number} [director's cut]" for number in range(30)]
SETTINGS = ("--set", "train.epochs=20", "--set", "train.patience=20", "--set", "train.batch_size=64")


def _stranger_files() -> Mapping[str, str]:
    """Two days of ratings in which a movie's quality and a user's taste for its tags decide."""
    dice = np.random.default_rng(7)
    files = {}
    for day in ("day1.csv", "day2.csv"):
        lines = ["user,movie,title,tags,price,stars"]
        for _ in range(800):
            user, movie = int(dice.integers(40)), int(dice.integers(30))
            tags = [tag for bit, tag in enumerate(("drama", "comedy", "war")) if movie >> bit & 1]
            score = 3 + (movie % 7 - 3) / 2 + (len(tags) - 1.5) * (1 if user % 2 else -1) + dice.normal()
            stars = min(5, max(1, round(score)))
            lines.append(f"u{user},{movie},{TITLES[movie]},{'|'.join(tags)},{movie % 5 + dice.random():.2f},{stars}")
        files[day] = "\n".join([*lines, ""])
    return files


@dataclass(frozen=True)
class Stranger:
    """A stranger's dataset that was run and pushed: killed in its training first, then run again."""

    folder: Path
    root: Root
    description: str = STRANGER
    settings: tuple[str, ...] = SETTINGS

    @property
    def arguments(self) -> tuple[str, ...]:
        """Of the run that was pushed."""
        return ("run", "--dataset", str(self.folder), "--root", str(self.root.path), "--no-serve", *self.settings)

    def copy(self, folder: Path, description: str = STRANGER, **files: str | bytes | None) -> Path:
        """The same dataset in another folder, with other content of some files (`day1_csv=…`), None for no file."""
        folder.mkdir()
        (folder / "features.yaml").write_text(description)
        changed = {name.replace("_", "."): content for name, content in files.items()}
        for name, content in {**_stranger_files(), **changed}.items():
            if content is not None:
                (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return folder


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Stranger:
    base = tmp_path_factory.mktemp("stranger")
    begun = Stranger(base / "their data", Root(base / "runs", "stranger", ()))
    begun.copy(begun.folder)
    killed = _kill_in_training(begun)
    done = _command(*begun.arguments)
    assert done.returncode == 0, done
    return Stranger(begun.folder, Root(base / "runs", "stranger", (killed, done)))


def _kill_in_training(stranger: Stranger) -> subprocess.CompletedProcess[str]:
    """Runs it, and kills the process as soon as two epochs are over, of which one at least is saved."""
    with subprocess.Popen(
        [RANKLINE, *stranger.arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_with_secrets(),
    ) as run:
        deadline = time.monotonic() + TIMEOUT_S
        while run.poll() is None and time.monotonic() < deadline:
            if any("epoch 2:" in path.read_text() for path in stranger.root.path.glob("*/logs/*/run.log")):
                os.kill(run.pid, signal.SIGKILL)
                break
            time.sleep(0.01)
        stdout, stderr = run.communicate()
    return subprocess.CompletedProcess(run.args, run.returncode, stdout, stderr)
