"""A load generator that measures latencies, requests per second and errors of a server.

There are two kinds of load, which answer different questions:

* closed loop: each client sends its next request as soon as it has an answer. This measures the most that a server can
  do. But while the server stalls, no requests are sent, so a stall of a second is a single slow request;
* open loop: requests are due at a given rate at random times (a Poisson process), as from many independent users. This
  measures how long users wait: latency counts from the time at which a request was due, even if all clients were still
  waiting for a stalled server then. A stall shows in every request that was due during it. Measurements that miss these
  requests suffer from "coordinated omission"; wrk2 avoids it in the same way.
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
"""The gRPC method of TF Serving that the load calls, with serialized requests."""
PERCENTILES = {"p50": 50, "p90": 90, "p99": 99, "p99.9": 99.9, "max": 100}
_BINS_PER_DECADE = 10
"""The edges are 1, 1.26, 1.58, 2 … in every run, so that runs can be compared."""


@dataclass(frozen=True)
class Bin:
    """A bin of a histogram: the number of answers that took from `low_ms` to `high_ms` milliseconds."""

    low_ms: float
    high_ms: float
    count: int


@dataclass(frozen=True)
class LoadReport:
    """The result of a load.

    Attributes:
        clients: the largest number of simultaneous requests.
        rate: the requests per second that were due; None in a closed loop.
        seconds: the time from the end of the warm-up to the last answer, in seconds.
        latencies_ms: the latency of each answered request in milliseconds, float64 [answered], sorted.
        errors: gRPC status code -> the number of requests that failed with it.
        unsent: the number of requests that were due in an open loop but not sent by its end, because all clients were
            still waiting.
    """

    clients: int
    rate: float | None
    seconds: float
    latencies_ms: NDArray[np.float64]
    errors: dict[str, int]
    unsent: int

    @property
    def answered(self) -> int:
        """The number of answered requests."""
        return len(self.latencies_ms)

    @property
    def failed(self) -> int:
        """The number of failed requests."""
        return sum(self.errors.values())

    @property
    def qps(self) -> float:
        """Answers per second."""
        return self.answered / self.seconds if self.answered else 0.0

    def percentile(self, percent: float) -> float:
        """A percentile of the latencies, in milliseconds, without interpolation. NaN if no request was answered."""
        if not self.answered:
            return float("nan")
        return float(np.percentile(self.latencies_ms, percent, method="inverted_cdf"))

    def histogram(self) -> list[Bin]:
        """A histogram of the latencies with ten bins per factor of ten, from the first bin that is not empty."""
        if not self.answered:
            return []
        places = np.floor(np.log10(self.latencies_ms) * _BINS_PER_DECADE).astype(int)
        counts = np.bincount(places - places[0])
        edges = 10.0 ** (np.arange(places[0], places[-1] + 2) / _BINS_PER_DECADE)
        return [Bin(float(edges[n]), float(edges[n + 1]), int(count)) for n, count in enumerate(counts)]

    def as_dict(self) -> dict[str, Any]:
        """All numbers and the histogram, in types that JSON has."""
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
    """Sends requests from a number of clients (threads), each of which sends one after the other.

    Args:
        call: a function that sends one request and returns when it is answered, such as
            `channel.unary_unary(method)`. A grpc.RpcError is counted; any other exception ends the load.
        requests: serialized requests, which are sent in turn.
        clients: the largest number of simultaneous requests.
        seconds: the duration of the load after the warm-up, in seconds.
        rate: the requests per second of an open loop; None is a closed loop.
        warm_up_s: the seconds of the same load that come before it and are not counted.
        seed: the seed of the random times of an open loop.
    """
    start = time.perf_counter()
    window = _Window(start + warm_up_s, start + warm_up_s + seconds)
    turns = itertools.cycle(requests)
    due = None if rate is None else _poisson(rate, start, window.end, seed)
    with ThreadPoolExecutor(clients, "load") as pool:
        # Threads share `turns` and `due` without a lock, since next() of either is one step of the interpreter.
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
        # In a closed loop, the last request may also come just too late, but no user waits for it.
        unsent=0 if rate is None else sum(tally.unsent for tally in tallies),
    )


class _Window(NamedTuple):
    """The time in which requests must be due to be counted."""

    begin: float
    end: float


@dataclass
class _Tally:
    """The measurements of one client."""

    latencies: "array[float]" = field(default_factory=lambda: array("d"))
    errors: collections.Counter[str] = field(default_factory=collections.Counter)
    unsent: int = 0
    last_answer: float = 0.0


def _as_soon_as(end: float) -> Iterator[float]:
    """The times of a closed loop: the next request is always due now."""
    while (now := time.perf_counter()) < end:
        yield now


def _poisson(rate: float, start: float, end: float, seed: int) -> Iterator[float]:
    """The times of an open loop. Given their number, the times of a Poisson process are uniform and independent."""
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
