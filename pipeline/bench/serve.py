"""`rankline bench-serve`: the cost of the embedded server beyond the model, and beyond gRPC.

The latest pushed model of a dataset ranks the dataset's own items for its own users, on one machine with its clients.
Two sides set the bounds: the loaded model called in process, without a server; and a gRPC server that does nothing.
These two and the server take turns.
"""

from __future__ import annotations

import functools
import statistics
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np
import portpicker
from rich.table import Table
from tensorflow_serving.apis import predict_pb2

from pipeline.bench import ways
from pipeline.bench.served import LOAD_TIMEOUT_S, TIMEOUT_S, Served, loaded
from pipeline.bench.ways import Way, ways_table
from pipeline.live.load import requests
from pipeline.live.server import beside
from pipeline.live.versions import pushed_versions
from pipeline.run.layout import Layout
from pipeline.terminal.tables import add_row, new_table
from schema.dataset import Dataset
from schema.signatures import RANK
from serving import load
from serving.channel import connect
from serving.load import LoadReport
from serving.tensor_proto import Array, to_array

_AT_ONCE = 32
"""The number of clients by default."""


@dataclass(frozen=True)
class Setting:
    """The size of the measurement.

    Attributes:
        sizes: the numbers of candidates.
        clients: the numbers of clients.
        rounds: the turns of each side, of which the median counts.
        seconds: the length of a turn.
        swaps: the number of new versions under load.
        flood: the number of requests at once.
        soak_minutes: the minutes of load with a new version every minute; 0 is none.
    """

    sizes: Sequence[int] = (1, 100)
    clients: Sequence[int] = (1, 8, 32)
    rounds: int = 3
    seconds: float = 3.0
    swaps: int = 20
    flood: int = 10_000
    soak_minutes: int = 0


@dataclass(frozen=True)
class Closed:
    """The result for one number of candidates and of clients that wait for each answer: medians over the turns.

    Attributes:
        in_process_ms: the time of a call of the loaded model, by one caller.
        echo_qps: the answers per second of the server that does nothing.
        qps: the answers per second of the embedded server.
        p50_ms: the median latency of the embedded server.
        p99_ms: the 99th percentile of its latency.
    """

    size: int
    clients: int
    in_process_ms: float
    echo_qps: float
    echo_p50_ms: float
    qps: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Open:
    """The result for requests at random times, at a share of the server's highest rate."""

    size: int
    share: float
    rate: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    errors: int


@dataclass(frozen=True)
class Swaps:
    """The result of new versions under load.

    Attributes:
        p99_ms: the 99th percentile of the latency before the versions.
        slowest_ms: the largest latency while the versions came.
    """

    versions: int
    clients: int
    requests: int
    errors: int
    p99_ms: float
    during_p99_ms: float
    slowest_ms: float


@dataclass(frozen=True)
class Flood:
    """The result of many requests at once.

    Attributes:
        codes: status -> the number of requests that got it.
        mebibytes: the server's memory before and after.
    """

    requests: int
    codes: dict[str, int]
    mebibytes: tuple[int, int]


@dataclass(frozen=True)
class Soak:
    """The result of a long load, at half of the server's highest rate, with a new version every minute.

    Attributes:
        unsent: the number of requests that were due while all clients waited, and were not sent.
        mebibytes: the server's memory at the end of each minute.
    """

    minutes: int
    requests: int
    errors: int
    unsent: int
    mebibytes: list[int]


@dataclass
class ServeBenchmark:
    """All measurements of one run."""

    closed: list[Closed] = field(default_factory=list)
    ways: list[Way] = field(default_factory=list)
    open: list[Open] = field(default_factory=list)
    swaps: Swaps | None = None
    flood: Flood | None = None
    soak: Soak | None = None


def run(dataset: Dataset, layout: Layout, setting: Setting, on_step: Callable[[str], None]) -> ServeBenchmark:
    """Measures the embedded server.

    Args:
        dataset: a dataset with a ranking group and item.
        layout: the layout of its runs, with the pushed models.
        setting: the size of the measurement.
        on_step: a function that is called before each step, with the step's name.

    Raises:
        RanklineError: no model was pushed yet.
    """
    pushed = layout.serving / str(max(pushed_versions(layout)))
    result = ServeBenchmark()
    with tempfile.TemporaryDirectory(prefix="rankline-bench-") as folder:
        on_step("loading the model")
        with _ServedDataset(dataset, pushed, Path(folder)) as served:
            for size in setting.sizes:
                result.closed += _closed(served, size, setting, on_step)
            for size in setting.sizes:
                result.ways += _ways(served, size, setting, on_step)
            most = {size: max(each.qps for each in result.closed if each.size == size) for size in setting.sizes}
            for size in setting.sizes:
                rates = {share: share * most[size] for share in (0.5, 0.8)}
                result.open += [_open(served, size, share, rate, setting, on_step) for share, rate in rates.items()]
            if setting.swaps:
                result.swaps = _swaps(served, max(setting.sizes), setting, on_step)
            if setting.flood:
                result.flood = _flood(served, min(setting.sizes), setting, on_step)
            if setting.soak_minutes:
                size = max(setting.sizes)
                result.soak = _soak(served, size, most[size] / 2, setting, on_step)
    return result


class _ServedDataset(Served):
    """A server of a dataset's model."""

    def __init__(self, dataset: Dataset, pushed: Path, folder: Path) -> None:
        super().__init__(dataset.name, pushed, folder)
        self.dataset = dataset

    @functools.cache  # noqa: B019 (there is one of it, for as long as the program runs)
    def requests(self, size: int) -> list[bytes]:
        """Serialized ranking requests of `size` candidates."""
        return requests(self.dataset, self.client, size)


def _closed(served: _ServedDataset, size: int, setting: Setting, on_step: Callable[[str], None]) -> Iterator[Closed]:
    messages = served.requests(size)
    inputs = [_inputs(message) for message in messages]
    with _echo(served.folder, len(served.call(messages[0]))) as echo, loaded(served.name, served.pushed) as model:
        for clients in setting.clients:
            took: list[float] = []
            echoed: list[LoadReport] = []
            answered: list[LoadReport] = []
            for turn in range(setting.rounds):
                on_step(f"{size} candidates, {clients} clients, turn {turn + 1}")
                took.append(ways.median_ms(model, RANK, inputs, setting.seconds / 3))
                echoed.append(load.run(echo, messages, clients, setting.seconds))
                answered.append(load.run(served.call, messages, clients, setting.seconds))
            yield Closed(
                size=size,
                clients=clients,
                in_process_ms=statistics.median(took),
                echo_qps=_median(echoed, lambda report: report.qps),
                echo_p50_ms=_median(echoed, lambda report: report.percentile(50)),
                qps=_median(answered, lambda report: report.qps),
                p50_ms=_median(answered, lambda report: report.percentile(50)),
                p99_ms=_median(answered, lambda report: report.percentile(99)),
            )


def _ways(served: _ServedDataset, size: int, setting: Setting, on_step: Callable[[str], None]) -> list[Way]:
    on_step(f"{size} candidates, asked in each way")
    rankings, spec = served.requests(size), served.dataset.spec
    with loaded(served.name, served.pushed) as model:
        name = served.dataset.name
        return ways.measured(model, name, spec, rankings, served.call, setting.rounds, setting.seconds / 3)


def _median(reports: Sequence[LoadReport], of: Callable[[LoadReport], float]) -> float:
    return statistics.median(map(of, reports))


@contextmanager
def _echo(folder: Path, answer: int) -> Iterator[Callable[[bytes], bytes]]:
    """Starts the server that does nothing, and yields a function that calls it."""
    port = portpicker.pick_unused_port()
    flags = f"--port={port}", f"--answer={answer}"
    with beside(folder / "echo.log", "pipeline.bench.sides.echo", *flags), connect(f"127.0.0.1:{port}") as channel:
        grpc.channel_ready_future(channel).result(LOAD_TIMEOUT_S)
        yield functools.partial(channel.unary_unary(load.PREDICT), timeout=TIMEOUT_S)


def _inputs(message: bytes) -> dict[str, Array]:
    return {name: to_array(proto) for name, proto in predict_pb2.PredictRequest.FromString(message).inputs.items()}


def _open(
    served: _ServedDataset, size: int, share: float, rate: float, setting: Setting, on_step: Callable[[str], None]
) -> Open:
    on_step(f"{size} candidates, {rate:,.0f} requests per second")
    report = load.run(served.call, served.requests(size), 64, setting.rounds * setting.seconds, rate)
    return Open(
        size=size,
        share=share,
        rate=rate,
        p50_ms=report.percentile(50),
        p99_ms=report.percentile(99),
        max_ms=report.percentile(100),
        errors=report.failed + report.unsent,
    )


def _swaps(served: _ServedDataset, size: int, setting: Setting, on_step: Callable[[str], None]) -> Swaps:
    on_step("load before new versions")
    messages = served.requests(size)
    before = load.run(served.call, messages, _AT_ONCE, setting.rounds * setting.seconds)
    reports: list[LoadReport] = []
    swapping = threading.Event()

    def ask() -> None:
        while not swapping.is_set():
            reports.append(load.run(served.call, messages, _AT_ONCE, 2.0, warm_up_s=0.0))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for version in range(setting.swaps):
            on_step(f"new version {version + 1} of {setting.swaps} under load")
            served.swap()
    finally:
        swapping.set()
        asking.join()
    during = np.concatenate([report.latencies_ms for report in reports])
    return Swaps(
        versions=setting.swaps,
        clients=_AT_ONCE,
        requests=len(during),
        errors=sum(report.failed for report in reports),
        p99_ms=before.percentile(99),
        during_p99_ms=float(np.percentile(during, 99)),
        slowest_ms=float(during.max()),
    )


def _flood(served: _ServedDataset, size: int, setting: Setting, on_step: Callable[[str], None]) -> Flood:
    on_step(f"{setting.flood:,} requests at once")
    message = served.requests(size)[0]
    before = served.mebibytes()
    calls = [served.predict.future(message, timeout=TIMEOUT_S) for _ in range(setting.flood)]
    codes = Counter(call.code().name for call in calls)
    served.call(message)
    return Flood(setting.flood, dict(codes.most_common()), (before, served.mebibytes()))


def _soak(served: _ServedDataset, size: int, rate: float, setting: Setting, on_step: Callable[[str], None]) -> Soak:
    messages = served.requests(size)
    requests, errors, unsent = 0, 0, 0
    memory: list[int] = []
    for minute in range(setting.soak_minutes):
        on_step(f"minute {minute + 1} of {setting.soak_minutes}, {memory[-1] if memory else served.mebibytes()} MiB")
        swap = threading.Thread(target=served.swap)
        swap.start()
        report = load.run(served.call, messages, _AT_ONCE, 60.0, rate, warm_up_s=0.0, seed=minute)
        swap.join()
        requests += report.answered
        errors += report.failed
        unsent += report.unsent
        memory.append(served.mebibytes())
    return Soak(setting.soak_minutes, requests, errors, unsent, memory)


def tables(result: ServeBenchmark) -> Iterator[Table]:
    """Tables of all measurements."""
    shown = new_table(
        "Each client waits for its answer",
        *(
            "candidates#",
            "clients#",
            "in process ms#",
            "p50 ms#",
            "×#",
            "p99 ms#",
            "echo /s#",
            "server /s#",
            "of echo#",
        ),
    )
    for closed in result.closed:
        ratio = f"{closed.p50_ms / closed.in_process_ms:.2f}" if closed.clients == 1 else ""
        took = f"{closed.in_process_ms:.2f}", f"{closed.p50_ms:.2f}", ratio, f"{closed.p99_ms:.2f}"
        rates = f"{closed.echo_qps:,.0f}", f"{closed.qps:,.0f}", f"{closed.qps / closed.echo_qps:.0%}"
        add_row(shown, str(closed.size), str(closed.clients), *took, *rates)
    yield shown
    yield from ways_table(result.ways)
    shown = new_table(
        "Requests come at random times",
        *("candidates#", "of the most#", "requests /s#", "p50 ms#", "p99 ms#", "slowest ms#", "errors#"),
    )
    for each in result.open:
        latencies = [f"{value:.1f}" for value in (each.p50_ms, each.p99_ms, each.max_ms)]
        add_row(shown, str(each.size), f"{each.share:.0%}", f"{each.rate:,.0f}", *latencies, f"{each.errors:,}")
    yield shown
    if swaps := result.swaps:
        shown = new_table(
            f"{swaps.versions} new versions under {swaps.clients} clients",
            *("requests#", "errors#", "p99 before ms#", "p99 ms#", "slowest ms#", "× p99 before#"),
        )
        times = swaps.p99_ms, swaps.during_p99_ms, swaps.slowest_ms, swaps.slowest_ms / swaps.p99_ms
        add_row(shown, f"{swaps.requests:,}", f"{swaps.errors:,}", *(f"{value:.1f}" for value in times))
        yield shown
    if flood := result.flood:
        shown = new_table(
            f"{flood.requests:,} requests at once", *(f"{code}#" for code in flood.codes), "MiB before#", "MiB after#"
        )
        add_row(shown, *(f"{count:,}" for count in flood.codes.values()), *map(str, flood.mebibytes))
        yield shown
    if soak := result.soak:
        shown = new_table(
            f"{soak.minutes} minutes of load, with {soak.minutes} new versions",
            *("requests#", "errors#", "unsent#", "MiB after a minute#", "MiB halfway#", "MiB at the end#"),
        )
        memory = soak.mebibytes[0], soak.mebibytes[len(soak.mebibytes) // 2], soak.mebibytes[-1]
        counts = soak.requests, soak.errors, soak.unsent
        add_row(shown, *(f"{count:,}" for count in counts), *map(str, memory))
        yield shown
