"""The server's metrics, and the page from which Prometheus reads them.

Names, labels, buckets and text follow TF Serving's servables/tensorflow/{util,saved_model_warmup_util}.cc and
util/prometheus_exporter.cc, and TensorFlow's cc/saved_model/loader.cc. As there, a process has one set of metrics.
`prometheus_client` cannot be used, since it appends `_total` to the name of every counter.
"""

import re
import threading
import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, TypeAlias

from grpc import StatusCode

PATH = "/monitoring/prometheus/metrics"

_NO_LETTER = "[^a-zA-Z0-9_]"
_MAX_CELLS = 10_000  # per metric: labels hold names of models, which clients can make up
_metrics: list["Counter | Sampler"] = []

_Values: TypeAlias = tuple[str, ...]


class Counter:
    """A counter with a separate count for each combination of the labels' values."""

    kind = "counter"

    def __init__(self, name: str, *labels: str) -> None:
        """Creates a metric of the page.

        Args:
            name: TensorFlow's name of the metric, a path.
            labels: the names of the labels.
        """
        self.path = name
        self.name = re.sub(_NO_LETTER, ":", name)
        self._labels = labels
        self._lock = threading.Lock()
        self._counts: dict[_Values, int] = {}
        _metrics.append(self)

    def add(self, count: int, *values: str) -> None:
        """Adds to the count for these values of the labels."""
        with self._lock:
            values = _bounded(values, self._counts)
            self._counts[values] = self._counts.get(values, 0) + count

    def first(self) -> int:
        """The count for the first combination of the labels' values in sorted order; 0 if there is none."""
        with self._lock:
            return self._counts[min(self._counts)] if self._counts else 0

    def lines(self) -> Iterator[str]:
        """The counts, in Prometheus' text format."""
        with self._lock:
            counts = sorted(self._counts.items())
        for values, count in counts:
            yield f"{self.name}{{{_pairs(self._labels, values)}}} {count}"


class _Histogram:
    def __init__(self, buckets: int) -> None:
        self.total = 0
        self.counts = [0] * buckets


class Sampler:
    """A histogram for each combination of the labels' values."""

    kind = "histogram"

    def __init__(self, name: str, *labels: str, scale: float, growth: float, limits: int) -> None:
        """Creates a metric of the page.

        Args:
            name: TensorFlow's name of the metric, a path.
            labels: the names of the labels.
            scale: the upper limit of the first bucket.
            growth: the ratio of each limit to the one before.
            limits: the number of limits; one more bucket has no limit.
        """
        self.name = re.sub(_NO_LETTER, ":", name)
        self._labels = labels
        self._lock = threading.Lock()
        self._limits = [scale]
        while len(self._limits) < limits:
            self._limits.append(self._limits[-1] * growth)
        self._histograms: dict[_Values, _Histogram] = {}
        _metrics.append(self)

    def add(self, size: int, *values: str) -> None:
        """Adds a value to the histogram for these values of the labels."""
        with self._lock:
            values = _bounded(values, self._histograms)
            histogram = self._histograms.get(values)
            if histogram is None:
                histogram = self._histograms[values] = _Histogram(len(self._limits) + 1)
            histogram.total += size
            histogram.counts[bisect_right(self._limits, size)] += 1

    def lines(self) -> Iterator[str]:
        """The histograms, in Prometheus' text format."""
        with self._lock:
            histograms = sorted((values, each.total, list(each.counts)) for values, each in self._histograms.items())
        limits = [*(f"{limit:g}" for limit in self._limits), "+Inf"]
        for values, total, counts in histograms:
            pairs = _pairs(self._labels, values)
            below = 0
            for limit, count in zip(limits, counts, strict=True):
                below += count
                yield f'{self.name}_bucket{{{pairs}{"," if pairs else ""}le="{limit}"}} {below}'
            yield f"{self.name}_sum{{{pairs}}} {total}"
            yield f"{self.name}_count{{{pairs}}} {below}"


def _microseconds(name: str, *labels: str) -> Sampler:
    return Sampler(name, *labels, scale=10, growth=1.8, limits=33)  # up to twenty minutes


request_count = Counter("/tensorflow/serving/request_count", "model_name", "status")
request_latency = _microseconds("/tensorflow/serving/request_latency", "model_name", "API", "entrypoint")
runtime_latency = _microseconds("/tensorflow/serving/runtime_latency", "model_name", "API", "runtime")
request_example_counts = Sampler("/tensorflow/serving/request_example_counts", "model", scale=1, growth=2, limits=15)
request_example_count_total = Counter("/tensorflow/serving/request_example_count_total", "model")
request_log_count = Counter("/tensorflow/serving/request_log_count", "model_name", "status_code")
model_warmup_latency = _microseconds("/tensorflow/serving/model_warmup_latency", "model_path", "status")
model_warmup_records_read = Counter("/tensorflow/serving/model_warmup_records_read", "model_path", "status")
load_attempt_count = Counter("/tensorflow/cc/saved_model/load_attempt_count", "model_path", "status")
load_latency = Counter("/tensorflow/cc/saved_model/load_latency", "model_path")
load_latency_by_stage = _microseconds("/tensorflow/cc/saved_model/load_latency_by_stage", "model_path", "stage")


class Stopwatch:
    """Measures elapsed time."""

    def __init__(self) -> None:
        """Starts the stopwatch."""
        self._start = time.perf_counter_ns()

    def microseconds(self) -> int:
        """The microseconds since the start."""
        return (time.perf_counter_ns() - self._start) // 1000


class runtime:  # noqa: N801 (used as a function)
    """A context in which a model computes an answer. It records the time taken, unless the computation fails."""

    def __init__(self, model: str, api: str) -> None:
        """Creates a context.

        Args:
            model: the name of the model.
            api: the method: `Predict`, `Classify` or `Regress`.
        """
        self._model, self._api = model, api

    def __enter__(self) -> None:
        self._watch = Stopwatch()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            runtime_latency.add(self._watch.microseconds(), self._model, self._api, "TF1")


def record_request(model: str, api: str, entrypoint: str, status: StatusCode, watch: Stopwatch) -> None:
    """Counts an answered request, and records its latency if it succeeded.

    Args:
        model: the name of the model in the request.
        api: the method.
        entrypoint: `GRPC` or `REST`.
        status: the status of the answer.
        watch: a stopwatch that was started when the request arrived.
    """
    if status is StatusCode.OK:
        request_latency.add(watch.microseconds(), model, api, entrypoint)
    request_count.add(1, model, status.name)


def first_counts(paths: Iterable[str]) -> dict[str, int]:
    """Path -> `Counter.first` of the metric, or 0 for other metrics. For requests to reload the configuration."""
    counters = {metric.path: metric for metric in _metrics if isinstance(metric, Counter)}
    return {path: counters[path].first() if path in counters else 0 for path in paths}


def page() -> str:
    """All metrics in Prometheus' text format."""
    lines = []
    for metric in sorted(_metrics, key=lambda metric: metric.name):
        lines.append(f"# TYPE {metric.name} {metric.kind}")
        lines.extend(metric.lines())
    return "\n".join(lines) + "\n"


def _pairs(labels: tuple[str, ...], values: _Values) -> str:
    return ",".join(f'{label}="{_escaped(value)}"' for label, value in zip(labels, values, strict=True))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _bounded(values: _Values, cells: Mapping[_Values, Any]) -> _Values:
    """The values of the cell to use; all empty if there are too many cells already."""
    return values if values in cells or len(cells) < _MAX_CELLS else ("",) * len(values)
