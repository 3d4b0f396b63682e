"""Load on a server, and how it bears it: latencies, requests per second, errors.

Two kinds of load, which answer different questions:

* closed loop: each client sends its next request when it has its answer. The most that a server can do; but while it
  stalls, nobody asks, so that a stall of a second is one slow request;
* open loop: requests come at a rate, at random times (a Poisson process), as from many users who know nothing of each
  other. What users wait for: a request's latency counts from the moment at which it was due, also if all clients were
  still waiting for a stalled server then, so that the stall shows in every request that fell into it ("coordinated
  omission" is what the measure is called that misses those; wrk2 measures in the same way).
"""

import collections
import itertools
import threading
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import grpc
import numpy as np
from numpy.typing import NDArray

PREDICT = "/tensorflow.serving.PredictionService/Predict"
"""TF Serving's method that load is made with, with serialized requests."""
PERCENTILES = {"p50": 50, "p90": 90, "p99": 99, "p99.9": 99.9, "max": 100}
_BINS_PER_DECADE = 10
"""1, 1.26, 1.58, 2 …: the same in every run, so that two can be compared."""


@dataclass(frozen=True)
class Bin:
    """A bar of a histogram: how many answers took from `low_ms` until `high_ms`, in milliseconds."""

    low_ms: float
    high_ms: float
    count: int


@dataclass(frozen=True)
class LoadReport:
    """What came of a load.

    Attributes:
        clients: how many requests could be under way at once.
        rate: requests per second that were due; None in a closed loop.
        seconds: from the end of the warm-up to the last answer.
        latencies_ms: of each request that was answered, float64, sorted.
        errors: how many requests failed, by gRPC's status code.
        unsent: how many were due in an open loop, but not sent by its end, since all clients were still waiting.
    """

    clients: int
    rate: float | None
    seconds: float
    latencies_ms: NDArray[np.float64]
    errors: dict[str, int]
    unsent: int

    @property
    def answered(self) -> int:
        """How many requests were answered."""
        return len(self.latencies_ms)

    @property
    def failed(self) -> int:
        """How many requests failed."""
        return sum(self.errors.values())

    @property
    def qps(self) -> float:
        """Answers per second."""
        return self.answered / self.seconds if self.answered else 0.0

    def percentile(self, percent: float) -> float:
        """Of the latencies, in milliseconds: a latency that was measured. NaN if nothing was answered."""
        if not self.answered:
            return float("nan")
        return float(np.percentile(self.latencies_ms, percent, method="inverted_cdf"))

    def histogram(self) -> list[Bin]:
        """The latencies in bins that grow with them, ten for a factor of ten; from the first that is not empty."""
        if not self.answered:
            return []
        places = np.floor(np.log10(self.latencies_ms) * _BINS_PER_DECADE).astype(int)
        counts = np.bincount(places - places[0])
        edges = 10.0 ** (np.arange(places[0], places[-1] + 2) / _BINS_PER_DECADE)
        return [Bin(float(edges[n]), float(edges[n + 1]), int(count)) for n, count in enumerate(counts)]

    def as_dict(self) -> dict[str, Any]:
        """All numbers and the histogram, as JSON can hold them."""
        return {
            "clients": self.clients,
            "rate": self.rate,
            "seconds": self.seconds,
            "answered": self.answered,
            "qps": self.qps,
            "latency_ms": {
                name: self.percentile(percent) if self.answered else None for name, percent in PERCENTILES.items()
            },
            "errors": self.errors,
            "unsent": self.unsent,
            "histogram": [asdict(bar) for bar in self.histogram()],
        }


def run(
    call: Callable[[bytes], object],
    requests: Sequence[bytes],
    clients: int,
    seconds: float,
    rate: float | None = None,
    warm_up_s: float = 1.0,
    seed: int = 0,
) -> LoadReport:
    """Sends requests, one after the other from a number of clients, which are threads.

    Args:
        call: sends one request and returns when it is answered, such as `channel.unary_unary(method)`. A
            grpc.RpcError is counted; any other exception ends the load.
        requests: serialized, so that nothing but sending costs time; they are sent in turn.
        clients: how many requests may be under way at once.
        seconds: for how long, after the warm-up.
        rate: requests per second of an open loop; None is a closed loop.
        warm_up_s: seconds of the same load before it that are not counted.
        seed: of the open loop's times.
    """
    start = time.perf_counter()
    window = _Window(start + warm_up_s, start + warm_up_s + seconds)
    turns = itertools.cycle(requests)
    due = None if rate is None else _poisson(rate, start, window.end, seed)
    with ThreadPoolExecutor(clients, "load") as pool:
        # Threads take turns at `turns` and `due` without a lock: next() of either is one step of the interpreter.
        stop = threading.Event()
        running = [pool.submit(_ask, call, turns, due or _as_soon_as(window.end), window, stop) for _ in range(clients)]
        try:
            wait(running, return_when=FIRST_EXCEPTION)
        finally:  # also if interrupted
            stop.set()
        tallies = [client.result() for client in running]
    errors = sum((tally.errors for tally in tallies), collections.Counter[str]())
    return LoadReport(
        clients=clients,
        rate=rate,
        seconds=max([window.end, *(tally.last_answer for tally in tallies)]) - window.begin,
        latencies_ms=np.sort(np.concatenate([tally.latencies for tally in tallies])) * 1000,
        errors=dict(errors.most_common()),
        # A closed loop's last may come too late as well, by the time between two lines; nobody was waiting for it.
        unsent=0 if rate is None else sum(tally.unsent for tally in tallies),
    )


class _Window(NamedTuple):
    """What is counted: requests that are due from `begin` until `end`."""

    begin: float
    end: float


@dataclass
class _Tally:
    """What one client saw."""

    latencies: "array[float]" = field(default_factory=lambda: array("d"))
    errors: collections.Counter[str] = field(default_factory=collections.Counter)
    unsent: int = 0
    last_answer: float = 0.0


def _as_soon_as(end: float) -> Iterator[float]:
    """A closed loop: what is asked for next is due now."""
    while (now := time.perf_counter()) < end:
        yield now


def _poisson(rate: float, start: float, end: float, seed: int) -> Iterator[float]:
    """An open loop: given how many there are, the times of a Poisson process are uniform and independent."""
    random = np.random.default_rng(seed)
    count = random.poisson(rate * (end - start))
    return iter(np.sort(random.uniform(start, end, count)).tolist())


def _ask(
    call: Callable[[bytes], object],
    turns: Iterator[bytes],
    due: Iterator[float],
    window: _Window,
    stop: threading.Event,
) -> _Tally:
    tally = _Tally()
    for moment in due:
        if stop.is_set():
            break
        counted = moment >= window.begin
        now = time.perf_counter()
        if now < moment:
            time.sleep(moment - now)
        elif now >= window.end:
            tally.unsent += counted
            continue
        try:
            call(next(turns))
        except grpc.RpcError as error:
            tally.errors[error.code().name] += counted
            continue
        answered = time.perf_counter()
        if counted:
            tally.latencies.append(answered - moment)
            tally.last_answer = answered
    return tally
