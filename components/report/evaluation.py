"""What the Evaluator found over all rows of the test split, by slice, and what it asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2

from components.metrics import METRICS
from components.report.document import Bound
from components.thresholds import metric_name

SliceKey = tuple[tuple[str, str], ...]
"""Column and value, of each column that a slice is about; none is all rows."""

_ROWS = "example_count"


@dataclass(frozen=True)
class Sliced:
    """A slice in numbers: `rows`, and metrics by name, of the candidate and of the baseline."""

    rows: int
    candidate: Mapping[str, float]
    baseline: Mapping[str, float]


def read(folder: str) -> dict[SliceKey, Sliced]:
    """Our metrics in an evaluation artifact's folder, without those that are NaN."""
    of_role: dict[bool, dict[SliceKey, dict[str, float]]] = {}
    for spec in _config(folder).model_specs:
        result = tfma.load_eval_result(folder, model_name=spec.name)
        of_role[spec.is_baseline] = {_key(key): _values(outputs) for key, outputs in result.slicing_metrics}
    baseline = of_role.get(True, {})
    return {
        key: Sliced(
            rows=int(values[_ROWS]), candidate=_ours(values), baseline=_ours(baseline.get(key, {}))
        )
        for key, values in of_role[False].items()
    }  # fmt: skip


def bounds(folder: str, overall: Sliced) -> Iterator[Bound]:
    """Each condition that the model had to keep, and by how much it did.

    Args:
        folder: of the evaluation artifact.
        overall: the metrics over all rows.
    """
    config = _config(folder)
    has_baseline = any(spec.is_baseline for spec in config.model_specs)
    for specs in config.metrics_specs:
        for metric in specs.metrics:
            name = metric_name(metric)
            if name is None or not metric.per_slice_thresholds:
                continue
            found = overall.candidate.get(name)
            threshold = metric.per_slice_thresholds[0].threshold
            value = threshold.value_threshold
            if value.HasField("lower_bound"):
                low = value.lower_bound.value
                yield _bound(name, f"at least {low:g}", found, _minus(found, low))
            if value.HasField("upper_bound"):
                high = value.upper_bound.value
                yield _bound(name, f"at most {high:g}", found, _minus(high, found))
            if threshold.HasField("change_threshold") and has_baseline:
                allowed = abs(threshold.change_threshold.absolute.value)
                change = _minus(found, overall.baseline.get(name))
                room = None if change is None else allowed + (change if METRICS[name] == "higher" else -change)
                yield _bound(name, f"at most {allowed:g} worse than the last blessed model", change, room, True)


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _bound(metric: str, condition: str, received: float | None, room: float | None, is_change: bool = False) -> Bound:
    kept = room is not None and room >= 0
    return Bound(metric=metric, condition=condition, is_change=is_change, received=received, room=room, kept=kept)


def _config(folder: str) -> config_pb2.EvalConfig:
    config: config_pb2.EvalConfig = tfma.load_eval_result(folder).config
    return config


def _key(key: Any) -> SliceKey:
    return tuple(
        (column, value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)) for column, value in key
    )


def _ours(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if name.rpartition(".")[2] in METRICS}


def _values(outputs: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: value["doubleValue"]
        for sub_keys in outputs.values()
        for metrics in sub_keys.values()
        for name, value in metrics.items()
        if "doubleValue" in value and not math.isnan(value["doubleValue"])
    }
