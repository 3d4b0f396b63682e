"""The Evaluator's results over all rows of the test split, and by slice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2

from components.evaluation.metrics.registry import METRICS
from components.evaluation.tfma_metrics import COUNTED_POSITIVES, COUNTED_ROWS

SliceKey = tuple[tuple[str, str], ...]
"""A slice: a pair of column and value for each of its columns; empty for all rows."""

_ROWS = "example_count"


@dataclass(frozen=True)
class Sliced:
    """The results of a slice.

    Attributes:
        rows: the number of rows.
        candidate: the candidate's metrics that have a value, by name.
        baseline: the same metrics of the baseline; empty without one.
        counted: the number of rows with a weight above 0.
        positives: the number of positive rows among these; None unless the label has two classes.
    """

    rows: int
    candidate: Mapping[str, float]
    baseline: Mapping[str, float]
    counted: int
    positives: int | None


def read(folder: str) -> dict[SliceKey, Sliced]:
    """Reads the registered metrics that have a value from an evaluation artifact's folder, by slice."""
    of_role: dict[bool, dict[SliceKey, dict[str, float]]] = {}
    config = _config(folder)
    orders = {frozenset(slicing.feature_keys): list(slicing.feature_keys) for slicing in config.slicing_specs}
    for spec in config.model_specs:
        result = tfma.load_eval_result(folder, model_name=spec.name)
        of_role[spec.is_baseline] = {_key(key, orders): _values(outputs) for key, outputs in result.slicing_metrics}
    baseline = of_role.get(True, {})
    return {
        key: Sliced(
            rows=int(values[_ROWS]),
            candidate=_ours(values),
            baseline=_ours(baseline.get(key, {})),
            counted=int(values[COUNTED_ROWS]),
            positives=int(values[COUNTED_POSITIVES]) if COUNTED_POSITIVES in values else None,
        )
        for key, values in of_role[False].items()
    }


def _config(folder: str) -> config_pb2.EvalConfig:
    config: config_pb2.EvalConfig = tfma.load_eval_result(folder).config
    return config


def _key(key: Any, orders: Mapping[frozenset[str], Sequence[str]]) -> SliceKey:
    """A slice with its columns in the order of the spec; TFMA orders them alphabetically."""
    values = {
        column: value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for column, value in key
    }
    return tuple((column, values[column]) for column in orders[frozenset(values)])


def _ours(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if name.rpartition(".")[2] in METRICS}


def _values(outputs: Mapping[str, Any]) -> dict[str, float]:
    found = {
        # In JSON, NaN and infinity are texts.
        name: float(value["doubleValue"])
        for sub_keys in outputs.values()
        for metrics in sub_keys.values()
        for name, value in metrics.items()
        if "doubleValue" in value
    }
    return {name: value for name, value in found.items() if math.isfinite(value)}
