"""A side's process: builds its model, then follows the commands on its standard input and answers in JSON.

The environments of the sides have little in common. So this module and those of the sides import nothing of Rankline,
except for `rankline` and `products`.
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
    """The model and the data of all sides of a measurement."""

    folder: str
    """The folder of the rows, see `Rows`."""
    model: str
    """The architecture, wide_deep or dcn_v2."""
    sizes: tuple[int, ...]
    """The number of ids of each categorical column."""
    batch_size: int
    width: int
    """The width of an embedding."""
    hidden_units: tuple[int, ...]
    cross_layers: int
    precision: str
    """The type of the dense part, float32 or bfloat16."""


class Rows(NamedTuple):
    """Rows in Criteo's format."""

    numbers: npt.NDArray[np.float32]
    """The numbers, [rows, 13]."""
    ids: npt.NDArray[np.int64]
    """The ids, [rows, 26]; each column's begin at 0."""
    labels: npt.NDArray[np.float32]
    """The labels, [rows]."""

    def batches(self, size: int) -> list[Rows]:
        """All complete batches, in order."""
        return [self.between(start, start + size) for start in range(0, len(self.labels) - size + 1, size)]

    def between(self, start: int, end: int) -> Rows:
        """The rows from `start` to before `end`."""
        return Rows(self.numbers[start:end], self.ids[start:end], self.labels[start:end])

    def save(self, folder: Path) -> None:
        """Writes one file for each field."""
        folder.mkdir(parents=True)
        for name, values in self._asdict().items():
            np.save(folder / f"{name}.npy", values)

    @classmethod
    def load(cls, folder: Path) -> Rows:
        """Reads the files of `save`."""
        return cls(*(np.load(folder / f"{name}.npy") for name in cls._fields))


class Side(ABC):
    """One implementation of the model."""

    @abstractmethod
    def train(self, steps: int) -> None:
        """Takes `steps` steps, over batches that are in memory in the form that the model takes."""

    def predict(self, rows: Rows) -> npt.NDArray[Any]:
        """The scores of the rows, by which they can be ranked: [rows]."""
        raise NotImplementedError

    def read(self, batches: int) -> None:
        """Reads batches from the side's own loader, shuffled, and does nothing with them."""
        raise NotImplementedError


def serve(make: Callable[[Job, Rows], Side], version: str) -> None:
    """Makes the side that the command line describes, and follows the commands on standard input until it ends.

    The command line is a `Job` as JSON and the descriptor for answers, because libraries print to standard output.
    Commands are `train STEPS`, `read BATCHES`, `auc` and `memory`; the answers have `seconds`, `auc` and `mebibytes`.
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
    # ru_maxrss would be at least that of the parent process.
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) >> 10
