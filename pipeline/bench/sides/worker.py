"""A side's process: it builds its model, then does what each line of its standard input says, and answers in JSON.

Sides run in environments that have little in common. Here and in the sides' modules nothing of ours is imported, except
in `rankline` and `products`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]


@dataclass(frozen=True)
class Job:
    """What all sides of a measurement build and learn from."""

    folder: str
    """Of the rows, see `Rows`."""
    model: str
    """wide_deep or dcn_v2."""
    sizes: tuple[int, ...]
    """Number of ids of each categorical column."""
    batch_size: int
    width: int
    """Of an embedding."""
    hidden_units: tuple[int, ...]
    cross_layers: int
    precision: str
    """float32 or bfloat16, of the dense part."""


class Rows(NamedTuple):
    """Rows in Criteo's format."""

    numbers: npt.NDArray[np.float32]
    """[rows, 13]"""
    ids: npt.NDArray[np.int64]
    """[rows, 26]; those of a column begin at 0."""
    labels: npt.NDArray[np.float32]
    """[rows]"""

    def batches(self, size: int) -> list[Rows]:
        """All whole batches, in order."""
        return [self.between(start, start + size) for start in range(0, len(self.labels) - size + 1, size)]

    def between(self, start: int, end: int) -> Rows:
        """Some of the rows."""
        return Rows(self.numbers[start:end], self.ids[start:end], self.labels[start:end])

    def save(self, folder: Path) -> None:
        """Writes one file for each field."""
        folder.mkdir(parents=True)
        for name, values in self._asdict().items():
            np.save(folder / f"{name}.npy", values)

    @classmethod
    def load(cls, folder: Path) -> Rows:
        """Reads what `save` wrote."""
        return cls(*(np.load(folder / f"{name}.npy") for name in cls._fields))


class Side(ABC):
    """One implementation of the model."""

    @abstractmethod
    def train(self, steps: int) -> None:
        """Takes so many steps, over batches that lie in memory in the form that its model takes."""

    def predict(self, rows: Rows) -> npt.NDArray[Any]:
        """Scores by which the rows can be ranked: [rows]."""
        raise NotImplementedError

    def read(self, batches: int) -> None:
        """Goes through so many batches as its own loader gives them, shuffled, and does nothing with them."""
        raise NotImplementedError


def serve(make: Callable[[Job, Rows], Side], version: str) -> None:
    """Makes the side that the command line describes, and follows standard input until it ends.

    The command line is a `Job` as JSON, and the descriptor to write answers to, since libraries print things. Lines are
    `train STEPS`, `read BATCHES`, `auc` and `memory`; the answers have `seconds`, `auc` and `mebibytes`.
    """
    answers = os.fdopen(int(sys.argv[2]), "w", buffering=1)
    job = Job(**json.loads(sys.argv[1]))
    side = make(job, Rows.load(Path(job.folder) / "train"))
    answers.write(json.dumps({"version": version}) + "\n")
    for line in sys.stdin:
        command, *arguments = line.split()
        start = time.perf_counter()
        answer: dict[str, float] = {}
        if command == "auc":
            held_out = Rows.load(Path(job.folder) / "held_out")
            answer["auc"] = float(roc_auc_score(held_out.labels, side.predict(held_out)))
        elif command == "memory":
            answer["mebibytes"] = _peak_mebibytes()
        else:
            {"train": side.train, "read": side.read}[command](*map(int, arguments))
            answer["seconds"] = time.perf_counter() - start
        answers.write(json.dumps(answer) + "\n")


def _peak_mebibytes() -> int:
    # ru_maxrss would be at least that of the process that started this one.
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) >> 10
