"""`rankline bench-train`: training steps of Rankline and of other libraries, side by side on the same rows."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from rich.table import Table

from pipeline.bench.sides.worker import Job, Rows
from schema.criteo.generator import Generator
from schema.errors import SpecError, listing

MODELS = ("wide_deep", "dcn_v2")
PEERS = ("fuxictr", "deepctr_torch", "pytorch_widedeep")

_OURS = "rankline"
_BOUND = "products"
_HELD_OUT_ROWS = 100_000
_LEAST_IDS = 10_000
_READ_BATCHES = 20
_START_LIMIT = 120.0
_FIRST_STEP_LIMIT = 60.0
"""The time limits in seconds of a side's start and of its first step."""
_REPOSITORY = Path(__file__).parents[2]
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


class SideError(Exception):
    """A side could not be started, or broke down."""


@dataclass(frozen=True)
class Setting:
    """The size of the measurement.

    Attributes:
        models: the names of the architectures.
        totals: the numbers of ids of all columns together.
        rounds: the turns of each side, of which the fastest counts.
        steps: the steps of a turn.
        batch_size: the rows of a step.
        cpus: the number of cores that each side may use.
        python: the Python interpreter of the peers' environment.
    """

    models: Sequence[str] = MODELS
    totals: Sequence[int] = (10_000, 1_000_000, 10_000_000)
    rounds: int = 5
    steps: int = 10
    batch_size: int = 4096
    cpus: int = 2
    python: Path = Path(".venv-bench/bin/python")


@dataclass(frozen=True)
class Measured:
    """The result of one side with one model and one number of ids.

    Attributes:
        side: the name of the side's module, and its precision if that is not float32.
        rate: the rows per second of its fastest turn.
        ratio: the rate of Rankline's float32 side, in turns that alternated with this side's, divided by `rate`.
        auc: the AUC on held-out rows, after the same steps as all sides.
        read_rate: the rows per second of its own loader from memory, shuffled, without a model.
        peak_mebibytes: the largest memory of its process.
        failure: the reason why there are no numbers.
    """

    model: str
    total: int
    side: str
    version: str = ""
    rate: float | None = None
    ratio: float | None = None
    auc: float | None = None
    read_rate: float | None = None
    peak_mebibytes: int | None = None
    failure: str | None = None


@dataclass(frozen=True)
class TrainBenchmark:
    """All measurements of one run."""

    processor: str
    cpus: int
    batch_size: int
    rows: int
    measured: Sequence[Measured]


def run(setting: Setting, on_table: Callable[[Table], None]) -> TrainBenchmark:
    """Measures all sides.

    Args:
        setting: the size of the measurement.
        on_table: a function that is called with the table of each model and number of ids, as soon as it is complete.

    Raises:
        SpecError: a model is unknown, or a number of ids is too small.
    """
    for model in setting.models:
        if model not in MODELS:
            raise SpecError(f"--models: expected any of {listing(MODELS)}, received {model!r}")
    for total in setting.totals:
        if total < _LEAST_IDS:
            raise SpecError(f"--ids: expected numbers of at least {_LEAST_IDS:,}, received {total:,}")
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cpus[: setting.cpus])
    rows = (setting.rounds + 1) * setting.steps * setting.batch_size
    measured: list[Measured] = []
    try:
        for total in setting.totals:
            with tempfile.TemporaryDirectory(prefix="rankline-bench-") as folder:
                sizes = _write_rows(Path(folder), total, rows)
                for model in setting.models:
                    job = Job(folder, model, sizes, setting.batch_size, 16, (400, 400, 400), 3, "float32")
                    of_job = _measure(job, setting)
                    measured += of_job
                    on_table(table(of_job))
    finally:
        os.sched_setaffinity(0, cpus)
    return TrainBenchmark(_cpuinfo("model name"), min(len(cpus), setting.cpus), setting.batch_size, rows, measured)


def _measure(job: Job, setting: Setting) -> list[Measured]:
    here = Path(sys.executable)
    others = [(_BOUND, job, here)]
    if has_bfloat16():
        low = replace(job, precision="bfloat16")
        others += [(_OURS, low, here), (_BOUND, low, here)]
    others += [(peer, job, setting.python) for peer in PEERS]
    measured: list[Measured] = []
    with _side(_OURS, job, here) as ours:
        (fastest,) = _alternate([ours], setting)
        first = _finish(ours, fastest)
        for name, its_job, python in others:
            try:
                with _side(name, its_job, python) as other:
                    ours_rate, rate = _alternate([ours, other], setting)
                    fastest = max(fastest, ours_rate)
                    measured.append(replace(_finish(other, rate), ratio=ours_rate / rate))
            except SideError as error:
                measured.append(replace(_named(name, its_job), failure=str(error)))
    return [replace(first, rate=fastest), *measured]


def _alternate(sides: Sequence[_Side], setting: Setting) -> list[float]:
    """The rows per second of each side's fastest turn, after a step and a turn each that do not count."""
    for side in sides:
        side.ask("train", 1, limit=_FIRST_STEP_LIMIT)
    seconds = [[side.ask("train", setting.steps)["seconds"] for side in sides] for _ in range(setting.rounds + 1)]
    return [setting.steps * setting.batch_size / min(turns) for turns in zip(*seconds[1:], strict=True)]


def _finish(side: _Side, rate: float) -> Measured:
    measured = replace(_named(side.name, side.job), version=side.version, rate=rate)
    if side.name == _BOUND:
        return measured
    memory = int(side.ask("memory")["mebibytes"])
    auc = side.ask("auc")["auc"]
    rows_read = _READ_BATCHES * side.job.batch_size
    side.ask("read", 1)
    read_rate = rows_read / side.ask("read", _READ_BATCHES)["seconds"]
    return replace(measured, peak_mebibytes=memory, auc=auc, read_rate=read_rate)


def _named(name: str, job: Job) -> Measured:
    return Measured(job.model, sum(job.sizes), name if job.precision == "float32" else f"{name} {job.precision}")


class _Side:
    """A running side.

    Raises:
        SideError: the side ended without an answer.
    """

    def __init__(self, name: str, job: Job, commands: IO[str], answers: IO[str], log: IO[str]) -> None:
        self.name = name
        self.job = job
        self._commands = commands
        self._answers = answers
        self._log = log
        self.version = str(self._answer("making the model", _START_LIMIT)["version"])

    def ask(self, *command: object, limit: float | None = None) -> dict[str, float]:
        """Has the side carry out a command of `sides.worker.serve`, within `limit` seconds."""
        self._commands.write(" ".join(map(str, command)) + "\n")
        self._commands.flush()
        return self._answer(" ".join(map(str, command)), limit)

    def _answer(self, what: str, limit: float | None) -> dict[str, Any]:
        if not select.select([self._answers], [], [], limit)[0]:
            raise SideError(f"{what} took more than {limit} s")
        line = self._answers.readline()
        if not line:
            self._log.seek(0)
            last = [line for line in self._log.read().splitlines() if line.strip()][-1:]
            raise SideError(f"{self.name} ended: {''.join(last) or 'no message'}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def _side(name: str, job: Job, python: Path) -> Iterator[_Side]:
    if not python.exists():
        raise SideError(f"expected the libraries to compare with in {python.parents[1]}; `make bench-train` makes it")
    read_end, write_end = os.pipe()
    with os.fdopen(read_end) as answers, tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [python.absolute(), "-m", f"pipeline.bench.sides.{name}", json.dumps(asdict(job)), str(write_end)],
            cwd=_REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=[write_end],
            text=True,
        )
        os.close(write_end)
        assert process.stdin is not None, "it was started with a pipe"
        with process:
            try:
                yield _Side(name, job, process.stdin, answers, log)
            finally:
                process.kill()


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 matrices."""
    return bool(_BFLOAT16_FLAGS & set(_cpuinfo("flags").split()))


def _cpuinfo(key: str) -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""


def _write_rows(folder: Path, total: int, rows: int) -> tuple[int, ...]:
    """Writes training rows and held-out rows, and returns the number of ids of each column."""
    generator = Generator(total)
    for name, count, seed in (("train", rows, 0), ("held_out", _HELD_OUT_ROWS, 1)):
        drawn = generator.draw(count, seed)
        numbers = np.nan_to_num(np.log1p(drawn.numbers)).astype(np.float32)
        Rows(numbers, drawn.ids, drawn.label.astype(np.float32)).save(folder / name)
    return tuple(generator.sizes.values())


def table(measured: Sequence[Measured]) -> Table:
    """A table of the measurements of one model and one number of ids."""
    first = measured[0]
    result = Table(title=f"{first.model}, {first.total:,} ids")
    result.add_column("Side")
    for heading in ("Rows/s", "Rankline is faster by", "AUC", "Reading, rows/s", "Peak MiB"):
        result.add_column(heading, justify="right")
    for one in measured:
        if one.failure is not None:
            result.add_row(one.side, one.failure)
            continue
        result.add_row(
            f"{one.side} {one.version}",
            _shown(one.rate, ",.0f"),
            _shown(one.ratio, ".2f"),
            _shown(one.auc, ".4f"),
            _shown(one.read_rate, ",.0f"),
            _shown(one.peak_mebibytes, ",d"),
        )
    return result


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
