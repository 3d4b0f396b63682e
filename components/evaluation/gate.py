"""Judges the Evaluator's metrics by the configured thresholds, and gives the reasons.

TFMA's own validation compares numbers only. Here a missed bound refuses a model only if it is missed by more than
noise, according to a bootstrap interval (see `components.evaluation.bootstrap`). For `max_drop`, that is the interval
of the change against the last blessed model, with both models on the same rows. The values are of all rows; the
resampled rows are the bounded sample that the Evaluator keeps (see `components.evaluation.evaluated_rows`).

If there are too few rows, or a metric has no value, nothing is judged: with few rows the interval itself is a guess.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import tensorflow as tf

from components.evaluation import bootstrap, intervals, results, rows
from components.evaluation.metrics.registry import find
from components.evaluation.results import Sliced, SliceKey
from components.evaluation.tfma_config import computed
from components.evaluation.thresholds import MIN_ROWS, GateParams, SliceBounds, SlicePattern, Threshold, pattern
from components.evaluation.verdict import Condition, Estimate, Gate, Interval, Metric
from schema.errors import listing, nearest
from schema.feature_spec import FeatureSpec

FILE = "gate.json"
"""The file in the evaluation artifact's folder that holds a `components.evaluation.verdict.Gate`."""

_NOT_JUDGED = "not judged: "
_LOSS: Mapping[str, str] = {"binary": "logloss", "classes": "cross_entropy", "number": "rmse"}
"""The metric of each kind of label that has a value if any row has a weight and all answers are finite."""
_Kind = Literal["min", "max", "max_drop"]


def judge(
    folder: str,
    spec: FeatureSpec,
    thresholds: Mapping[str, Threshold],
    params: GateParams,
    is_first: bool,
    remarks: Sequence[str] = (),
) -> Gate:
    """Judges an evaluation.

    Args:
        folder: the evaluation artifact's folder.
        spec: the resolved feature spec.
        thresholds: the thresholds by metric, from `components.evaluation.thresholds.applicable`.
        params: the number of rows that it takes to judge, and the verdict on a model that cannot be judged.
        is_first: whether no model was blessed before.
        remarks: remarks to add to the verdict.
    """
    found = results.read(folder)
    sample = _Sample(folder, spec, found[()])
    conditions: list[Condition] = list(_answers(spec, found[()]))
    for name, threshold in thresholds.items():
        asked = {key: getattr(threshold, key) for key in ("min", "max", "max_drop", "confidence")}
        overall = SliceBounds(**asked, min_rows=params.min_rows, min_of_class=params.min_of_class)
        conditions += _judged(name, (), overall, found[()], sample)
        patterns = {pattern(key, spec, name): bounds for key, bounds in threshold.slices.items()}
        conditions += _judged_slices(name, patterns, overall, found, sample)
    unjudged = _unjudged(conditions)
    if unjudged and (params.unjudged == "refuse" or (params.unjudged == "keep" and not is_first)):
        conditions.append(_refusal(unjudged))
    return Gate(
        conditions=conditions,
        unjudged=unjudged,
        remarks=[*remarks, *_remarks(thresholds, conditions), *_without_value(spec, found, conditions)],
    )


def write(gate: Gate, folder: str) -> None:
    """Writes the verdict to an evaluation artifact's folder."""
    tf.io.gfile.makedirs(folder)
    with tf.io.gfile.GFile(os.path.join(folder, FILE), "w") as file:
        file.write(gate.model_dump_json(indent=1) + "\n")


def read(folder: str) -> Gate:
    """Reads the verdict from an evaluation artifact's folder."""
    with tf.io.gfile.GFile(os.path.join(folder, FILE)) as file:
        return Gate.model_validate_json(file.read())


def told(gate: Gate) -> list[str]:
    """The warnings of a verdict, which do not refuse the model, a line each."""
    lines = list(gate.remarks)
    if gate.unjudged:
        although = "" if gate.refusals else "blessed although it "
        lines.insert(0, f"{although}could not be judged by {', '.join(gate.unjudged)}")
    lines += [each.reason for each in gate.conditions if each.outcome == "within noise"]
    not_judged = dict.fromkeys(
        f"{each.what} ({_why(each)})"
        for each in gate.conditions
        if each.outcome == "not judged" and not each.is_overall
    )
    return [*lines, f"{_NOT_JUDGED}{listing(not_judged)}"] if not_judged else lines


@dataclass
class _Sample:
    """The kept rows, which are read only when an interval is needed."""

    folder: str
    spec: FeatureSpec
    overall: Sliced

    @functools.cached_property
    def _rows(self) -> tuple[rows.Rows, bootstrap.Counts]:
        kept = rows.read(self.folder, self.spec)
        return kept, bootstrap.counts(kept)

    def metric(self, name: str, key: SliceKey, found: Sliced, confidence: float) -> Metric:
        """A metric of a slice and its change, with intervals."""
        kept, counted = self._rows
        if key:
            mask = intervals.members(kept, key)
            kept, counted = kept[mask], counted[:, mask]
        return intervals.metric(name, kept, counted, found, confidence)


def _judged_slices(
    name: str,
    patterns: Mapping[SlicePattern, SliceBounds],
    overall: SliceBounds,
    found: Mapping[SliceKey, Sliced],
    sample: _Sample,
) -> Iterator[Condition]:
    for key, sliced in found.items():
        # The bounds of one value override those of every value.
        matching = sorted((each for each in patterns if _matches(each, key)), key=_named)
        if matching:
            bounds = SliceBounds(confidence=overall.confidence, min_rows=MIN_ROWS, min_of_class=overall.min_of_class)
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
    """The number of columns for which the pattern names a value."""
    return sum(value is not None for _, value in slices)


def _shown(slices: SlicePattern | SliceKey) -> str:
    return ", ".join(column if value is None else f"{column} = {value}" for column, value in slices)


def _judged(name: str, key: SliceKey, bounds: SliceBounds, found: Sliced, sample: _Sample) -> Iterator[Condition]:
    """Judges a metric over all rows or in a slice."""
    what = _what(name, key)
    kinds: tuple[_Kind, ...] = ("min", "max", "max_drop")
    compared = bool(sample.overall.baseline)
    # Resampling takes time, and its result is the same for all bounds.
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
        if why_not := _shortage(found, bounds) or _no_value(name, kind, found, sample.spec):
            yield Condition(what=what, expected=expected, is_overall=not key, is_change=kind == "max_drop",
                            outcome="not judged", reason=f"{_NOT_JUDGED}{why_not}")  # fmt: skip
            continue
        yield _condition(name, what, key, kind, bound, expected, bounds.confidence or 0, found, resampled)


def _shortage(found: Sliced, bounds: SliceBounds) -> str:
    """The rows of which there are too few to judge by, as a phrase; empty if there are enough."""
    needed = [("rows", found.counted, bounds.min_rows or 0)]
    if found.positives is not None:
        needed.append(("positive rows", found.positives, bounds.min_of_class or 0))
        needed.append(("negative rows", found.counted - found.positives, bounds.min_of_class or 0))
    without = " without those of weight 0" if found.counted < found.rows else ""
    return next((f"{there:,} {kind} of {least:,}{without}" for kind, there, least in needed if there < least), "")


def _no_value(name: str, kind: _Kind, found: Sliced, spec: FeatureSpec) -> str:
    """The reason why there is no value to compare with the bound; empty if there is one."""
    if name not in found.candidate:
        return f"no value, which takes {_needs(name, spec)}"
    if kind == "max_drop" and name not in found.baseline:
        return "the last blessed model has no value"
    return ""


def _needs(name: str, spec: FeatureSpec) -> str:
    return find(name).needs.format(group=spec.ranking.group if spec.ranking else "")


def _condition(
    name: str, what: str, key: SliceKey, kind: _Kind, bound: float, expected: str, confidence: float, found: Sliced,
    resampled: Callable[[], Metric],
) -> Condition:  # fmt: skip
    is_change = kind == "max_drop"
    received = found.candidate[name] - (found.baseline[name] if is_change else 0)
    room = _room(name, kind, bound, received)
    interval: Interval = None
    # Resampling takes time, so only slices that miss their bound are resampled.
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
    return Condition(what=what, expected=expected, is_overall=not key, is_change=is_change, received=received,
                     interval=interval, room=room, outcome=outcome, reason=reason)  # fmt: skip


def _room(name: str, kind: _Kind, bound: float, received: float) -> float:
    """The distance to the bound; negative if the bound is missed."""
    match kind:
        case "min":
            return received - bound
        case "max":
            return bound - received
        case "max_drop":
            return bound + (received if find(name).better == "higher" else -received)


def _answers(spec: FeatureSpec, found: Sliced) -> Iterator[Condition]:
    """A broken condition if some of the model's answers are not finite, whatever the thresholds are."""
    if found.counted and _LOSS[spec.label.kind] not in found.candidate:
        reason = "answers: expected numbers for all rows of the test split, received NaN or infinite ones"
        yield Condition(what="answers", expected="numbers", is_overall=True, outcome="broken", reason=reason)


def _unjudged(conditions: Sequence[Condition]) -> list[str]:
    """The metrics that were not judged over the whole test split, a line for each reason."""
    metrics: dict[str, list[str]] = {}
    for each in conditions:
        if each.is_overall and each.outcome == "not judged":
            metrics.setdefault(_why(each), []).append(each.what)
    return [f"{listing(dict.fromkeys(names))} ({why})" for why, names in metrics.items()]


def _why(condition: Condition) -> str:
    return condition.reason.removeprefix(_NOT_JUDGED)


def _refusal(unjudged: Sequence[str]) -> Condition:
    reason = (
        f"test split: expected enough to judge by, received too little for {', '.join(unjudged)}; add rows, "
        "or set gate.unjudged: push"
    )
    return Condition(what="test split", expected="enough to judge by", is_overall=True, outcome="broken", reason=reason)


def _without_value(spec: FeatureSpec, found: Mapping[SliceKey, Sliced], conditions: Sequence[Condition]) -> list[str]:
    """A line with the metrics that have no value and no condition."""
    judged = {each.what for each in conditions}
    largest_first = sorted(found.items(), key=lambda each: (-each[1].rows, each[0]))
    missing = [
        f"{what} (takes {_needs(name, spec)})"
        for key, sliced in largest_first
        for name in computed(spec)
        if name not in sliced.candidate and (what := _what(name, key)) not in judged
    ]
    return [f"no value: {listing(missing)}"] if missing else []


def _what(name: str, key: SliceKey) -> str:
    return f"{name} of {_shown(key)}" if key else name


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
        "all thresholds are for the comparison with a last blessed model, and there was none to compare with"
        if asked
        else ("there are no thresholds")
    )
    return [f"blessed without judging its metrics: {why}"]
