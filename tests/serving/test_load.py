"""Load and its measurements, with a clock that the test moves."""

import itertools
import json
import math
import threading

import grpc
import numpy as np
import pytest

from serving import load
from serving.load import Bin, LoadReport


class Clock:
    """Stands for the module `time`."""

    def __init__(self):
        self.now = 100.0

    def perf_counter(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(load, "time", clock)
    return clock


class Refused(grpc.RpcError):
    def code(self):
        return grpc.StatusCode.RESOURCE_EXHAUSTED


def report(*latencies_ms, **changes) -> LoadReport:
    content = {"clients": 2, "rate": None, "seconds": 4.0, "errors": {}, "unsent": 0} | changes
    return LoadReport(latencies_ms=np.sort(np.array(latencies_ms, float)), **content)


def test_a_closed_loop_asks_again_when_it_is_answered(clock):
    """Answers of 1/8 s: 8 in the warm-up, 16 in the two seconds after it; the requests in turn."""
    asked = []

    def call(request):
        asked.append(request)
        clock.sleep(0.125)

    done = load.run(call, [b"a", b"b", b"c"], clients=1, seconds=2, warm_up_s=1)

    assert done.latencies_ms.tolist() == [125.0] * 16
    assert (done.answered, done.qps, done.seconds) == (16, 8.0, 2.0)
    assert (done.errors, done.unsent, done.rate) == ({}, 0, None)
    assert asked == [b"a", b"b", b"c"] * 8


def test_a_stall_in_an_open_loop_shows_in_all_requests_that_fall_into_it(clock):
    """One answer takes a second, of 100 requests in each; all others nothing: about 100 waited, by half of it at the
    median."""
    stalls = iter([1.0])
    done = load.run(lambda _: clock.sleep(next(stalls, 0.0)), [b""], clients=1, seconds=10, rate=100, warm_up_s=0)

    waited = done.latencies_ms[done.latencies_ms > 0.01]
    assert len(waited) == pytest.approx(100, abs=30)  # three standard deviations
    assert np.median(waited) == pytest.approx(500, abs=100)
    assert done.percentile(100) == pytest.approx(1000)
    assert done.answered == pytest.approx(1000, abs=100)
    assert done.unsent == 0


def test_the_times_between_requests_of_an_open_loop_are_exponential(clock):
    """As long on average as their standard deviation."""
    moments = []
    load.run(lambda _: moments.append(clock.now), [b""], clients=1, seconds=100, rate=50, warm_up_s=0)
    between = np.diff(moments)

    assert np.mean(between) == pytest.approx(1 / 50, rel=0.1)
    assert np.std(between) == pytest.approx(1 / 50, rel=0.1)


def test_what_a_server_that_is_too_slow_leaves_unsent(clock):
    """100 a second are due, and 10 a second answered: the last begins before the end, and is waited for."""
    done = load.run(lambda _: clock.sleep(0.1), [b""], clients=1, seconds=10, rate=100, warm_up_s=0)

    assert done.answered == pytest.approx(100, abs=1)
    assert done.answered + done.unsent == pytest.approx(1000, abs=100)
    assert done.seconds == pytest.approx(10.1, abs=0.1)
    assert done.percentile(100) > 8000


def test_errors_are_counted_by_code(clock):
    """Every second request is refused."""
    turns = iter(range(1000))

    def call(_):
        clock.sleep(0.5)
        if next(turns) % 2:
            raise Refused

    done = load.run(call, [b""], clients=1, seconds=10, warm_up_s=2)

    assert done.errors == {"RESOURCE_EXHAUSTED": 10}
    assert done.answered == 10


def test_all_clients_ask_at_once():
    """No call returns before four have begun."""
    begun, four = itertools.count(1), threading.Event()

    def call(_):
        if next(begun) == 4:
            four.set()
        assert four.wait(10)

    assert load.run(call, [b""], clients=4, seconds=0.1, warm_up_s=0).answered >= 4


def test_a_mistake_ends_the_load_of_all_clients():
    """One of four clients meets it; the load would take an hour."""
    calls = itertools.count()
    with pytest.raises(ZeroDivisionError):
        load.run(lambda _: 1 // next(calls), [b""], clients=4, seconds=3600)


def test_percentiles_are_latencies_that_were_measured():
    done = report(*range(1, 1001))

    assert [done.percentile(percent) for percent in load.PERCENTILES.values()] == [
        500,
        900,
        990,
        pytest.approx(999, abs=1),
        1000,
    ]
    assert math.isnan(report().percentile(50))


def test_the_histogram_has_ten_bins_for_a_factor_of_ten():
    """10 ^ 0.1 is 1.259, 10 ^ 0.2 is 1.585."""
    done = report(1.0, 1.2, 1.3, 2.0)

    assert done.histogram() == [
        Bin(1.0, pytest.approx(1.259, abs=0.001), 2),
        Bin(pytest.approx(1.259, abs=0.001), pytest.approx(1.585, abs=0.001), 1),
        Bin(pytest.approx(1.585, abs=0.001), pytest.approx(1.995, abs=0.001), 0),
        Bin(pytest.approx(1.995, abs=0.001), pytest.approx(2.512, abs=0.001), 1),
    ]
    assert report().histogram() == []


@pytest.mark.parametrize(
    ("done", "latency"),
    [
        (report(1, 2, 4, 8, errors={"INTERNAL": 2}), {"p50": 2, "p90": 8, "p99": 8, "p99.9": 8, "max": 8}),
        (report(errors={"INTERNAL": 2}), dict.fromkeys(["p50", "p90", "p99", "p99.9", "max"])),
    ],
)
def test_as_json(done, latency):
    content = json.loads(json.dumps(done.as_dict(), allow_nan=False))

    assert content["latency_ms"] == latency
    assert (content["answered"], content["qps"]) == (done.answered, done.answered / 4)
    assert content["errors"] == {"INTERNAL": 2}
    assert sum(bar["count"] for bar in content["histogram"]) == done.answered
