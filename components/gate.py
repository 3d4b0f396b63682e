"""Judges what the Evaluator has found by what a configuration asks, and says why.

TFMA's own validation knows the numbers only. Here a bound that is missed refuses a model if it is missed by more than
noise: by an interval from resampled groups of a ranking, or rows (see `components.report.measures`), of the change to
the last blessed model on the same rows for both. What is resampled is the sample that the Evaluator keeps (see
`components.evaluated_rows`), whose size is bounded; the values themselves are of all rows.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import tensorflow as tf

from components.metrics import METRICS
from components.report import evaluation, judgement, measures, rows
from components.report.document import Condition, Estimate, Gate, Interval, Metric
from components.report.evaluation import Sliced, SliceKey
from components.thresholds import MIN_ROWS, SliceBounds, SlicePattern, Threshold, pattern
from schema.errors import listing, nearest
from schema.feature_spec import FeatureSpec

FILE = "gate.json"
"""In the artifact's folder: a `components.report.document.Gate`."""

_NOT_JUDGED = "not judged: "
_Kind = Literal["min", "max", "max_drop"]


def judge(folder: str, spec: FeatureSpec, thresholds: Mapping[str, Threshold], remarks: Sequence[str] = ()) -> Gate:
    """Judges an evaluation.

    Args:
        folder: of the evaluation artifact.
        spec: the resolved feature spec.
        thresholds: of metrics that the dataset has; see `components.thresholds.applicable`.
        remarks: what is known of it already.
    """
    found = evaluation.read(folder)
    sample = _Sample(folder, spec, found[()])
    conditions: list[Condition] = []
    for name, threshold in thresholds.items():
        overall = SliceBounds(**{key: getattr(threshold, key) for key in ("min", "max", "max_drop", "confidence")})
        conditions += _judged(name, (), overall, found[()], sample)
        patterns = {pattern(key, spec, name): bounds for key, bounds in threshold.slices.items()}
        conditions += _judged_slices(name, patterns, overall, found, sample)
    return Gate(conditions=conditions, remarks=[*remarks, *_remarks(thresholds, conditions)])


def write(gate: Gate, folder: str) -> None:
    """Keeps it beside what it is about."""
    tf.io.gfile.makedirs(folder)
    with tf.io.gfile.GFile(os.path.join(folder, FILE), "w") as file:
        file.write(gate.model_dump_json(indent=1) + "\n")


def read(folder: str) -> Gate:
    """What was kept in an artifact's folder."""
    with tf.io.gfile.GFile(os.path.join(folder, FILE)) as file:
        return Gate.model_validate_json(file.read())


def told(gate: Gate) -> list[str]:
    """What has not refused a model and is to be known nevertheless, a line each."""
    lines = list(gate.remarks)
    lines += [each.reason for each in gate.conditions if each.outcome == "within noise"]
    not_judged = dict.fromkeys(
        f"{each.what} ({each.reason.removeprefix(_NOT_JUDGED)})"
        for each in gate.conditions
        if each.outcome == "not judged"
    )
    return [*lines, f"{_NOT_JUDGED}{listing(not_judged)}"] if not_judged else lines


@dataclass
class _Sample:
    """The rows that were kept; read only if someone asks for noise."""

    folder: str
    spec: FeatureSpec
    overall: Sliced

    @functools.cached_property
    def _rows(self) -> tuple[rows.Rows, measures.Counts]:
        kept = rows.read(self.folder, self.spec)
        return kept, measures.counts(kept)

    def metric(self, name: str, key: SliceKey, found: Sliced, confidence: float) -> Metric:
        """A metric of a slice, and its change, with intervals."""
        kept, counted = self._rows
        if key:
            mask = judgement.members(kept, key)
            kept, counted = kept[mask], counted[:, mask]
        return judgement.metric(name, kept, counted, found, confidence)


def _judged_slices(
    name: str,
    patterns: Mapping[SlicePattern, SliceBounds],
    overall: SliceBounds,
    found: Mapping[SliceKey, Sliced],
    sample: _Sample,
) -> Iterator[Condition]:
    for key, sliced in found.items():
        # What is said of one value goes before what is said of every value.
        matching = sorted((each for each in patterns if _matches(each, key)), key=_named)
        if matching:
            bounds = SliceBounds(confidence=overall.confidence, min_rows=MIN_ROWS)
            for each in matching:
                bounds = bounds.model_copy(update=patterns[each].model_dump(exclude_none=True))
            yield from _judged(name, key, bounds, sliced, sample)
    for each in patterns:
        if not any(_matches(each, key) for key in found):
            columns = [column for column, _ in each]
            values = [_shown(key) for key in found if key and [column for column, _ in key] == columns]
            what = f"{name} of {_shown(each)}"
            yield Condition(
                what=what,
                expected="rows in the test split",
                outcome="broken",
                reason=f"{what}: expected such rows in the test split, received none; there are "
                f"{listing(values) or 'no such slices'}{nearest(_shown(each), values)}",
            )


def _matches(slices: SlicePattern, key: SliceKey) -> bool:
    return len(slices) == len(key) > 0 and all(
        column == other and value in (None, received)
        for (column, value), (other, received) in zip(slices, key, strict=True)
    )


def _named(slices: SlicePattern) -> int:
    """How many values it names."""
    return sum(value is not None for _, value in slices)


def _shown(slices: SlicePattern | SliceKey) -> str:
    return ", ".join(column if value is None else f"{column} = {value}" for column, value in slices)


def _judged(name: str, key: SliceKey, bounds: SliceBounds, found: Sliced, sample: _Sample) -> Iterator[Condition]:
    """The conditions of a metric over all rows or in a slice."""
    what = f"{name} of {_shown(key)}" if key else name
    kinds: tuple[_Kind, ...] = ("min", "max", "max_drop")
    compared = bool(sample.overall.baseline)
    # It takes time, and is the same for all bounds.
    resampled = functools.cache(lambda: sample.metric(name, key, found, bounds.confidence or 0))
    for kind in kinds:
        bound: float | None = getattr(bounds, kind)
        if bound is None or (kind == "max_drop" and not compared):
            continue
        expected = {
            "min": f"at least {bound:g}",
            "max": f"at most {bound:g}",
            "max_drop": f"at most {bound:g} worse than the last blessed model",
        }[kind]
        if found.rows < (bounds.min_rows or 0):
            reason = f"{_NOT_JUDGED}{found.rows:,} rows of {bounds.min_rows:,}"
            yield Condition(what=what, expected=expected, outcome="not judged", reason=reason)
            continue
        yield _condition(name, what, key, kind, bound, expected, bounds.confidence or 0, found, resampled)


def _condition(
    name: str, what: str, key: SliceKey, kind: _Kind, bound: float, expected: str, confidence: float, found: Sliced,
    resampled: Callable[[], Metric],
) -> Condition:  # fmt: skip
    is_change = kind == "max_drop"
    value, before = found.candidate.get(name), found.baseline.get(name)
    received = value if not is_change or value is None or before is None else value - before
    if value is None or (is_change and before is None):
        whose = "the last blessed model has" if value is not None else "there is"
        reason = f"{whose} no value, as of rows that all have the same label"
        if key:
            return Condition(what=what, expected=expected, is_change=is_change, outcome="not judged",
                             reason=f"{_NOT_JUDGED}{reason}")  # fmt: skip
        return Condition(what=what, expected=expected, is_change=is_change, outcome="broken",
                         reason=f"{what}: expected {expected}, received none: {reason}")  # fmt: skip
    assert received is not None, "there are values"
    room = _room(name, kind, bound, received)
    interval: Interval = None
    # Of many slices only those that need it, since it takes time.
    if confidence and (room < 0 or not key):
        metric = resampled()
        estimate: Estimate | None = metric.change if is_change else metric.estimate
        interval = estimate.interval if estimate else None
    signed = "+" if is_change else ""
    said = f"{what}: expected {expected}, received {received:{signed}.4f}"
    if interval:
        said += f" ({interval[0]:{signed}.4f} to {interval[1]:{signed}.4f} with {confidence:.4g} confidence)"
    outcome: Literal["kept", "within noise", "broken"] = "kept"
    if room < 0:
        within = interval is not None and max(_room(name, kind, bound, end) for end in interval) >= 0
        outcome = "within noise" if within else "broken"
    reason = {"kept": "", "within noise": f"{said}: missed, but within noise", "broken": said}[outcome]
    return Condition(what=what, expected=expected, is_change=is_change, received=received, interval=interval,
                     room=room, outcome=outcome, reason=reason)  # fmt: skip


def _room(name: str, kind: _Kind, bound: float, received: float) -> float:
    """How far from the bound on its right side."""
    match kind:
        case "min":
            return received - bound
        case "max":
            return bound - received
        case "max_drop":
            return bound + (received if METRICS[name] == "higher" else -received)


def _remarks(thresholds: Mapping[str, Threshold], conditions: Sequence[Condition]) -> list[str]:
    if conditions:
        return []
    asked = any(
        value is not None
        for threshold in thresholds.values()
        for bounds in (threshold, *threshold.slices.values())
        for value in (bounds.min, bounds.max, bounds.max_drop)
    )
    why = (
        "all thresholds are against a last blessed model, and it was compared with none"
        if asked
        else ("there are no thresholds")
    )
    return [f"blessed, since nothing was asked of its metrics: {why}"]
