"""Compares what is served with what the model was trained and judged on, and with what was served before."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow_data_validation as tfdv
from scipy.spatial.distance import jensenshannon
from tensorflow_data_validation.statistics.stats_impl import generate_statistics_in_memory
from tensorflow_metadata.proto.v0 import schema_pb2

from components import distances
from components.distances import Kind, Statistics
from components.evaluation import evaluated_rows
from components.report.data import read_statistics
from components.schema_gen import SCHEMA_FILE
from pipeline.jobs.monitor.served import Floats, Ints, Served
from pipeline.run.history import Origin
from schema import reader
from schema.errors import DataError
from schema.feature_spec import LABEL, FeatureSpec
from trainer.auc import auc

Unit = Literal["hour", "day", "all"]

_FORMS: Mapping[Unit, str] = {"hour": "%Y-%m-%d %H:00", "day": "%Y-%m-%d", "all": "all"}
_BINS = 20


@dataclass(frozen=True)
class AlarmLimits:
    """The limits without an alarm. Distances are Jensen-Shannon divergences, from 0 for equal distributions to 1.

    Attributes:
        skew: the largest distance of a column's served values from those of the train split. The column's
        `skew_comparator` in the dataset's schema.pbtxt overrides it.
        drift: the largest distance of a column's values, or of the scores, from those of the window before. The
            column's `drift_comparator` overrides it.
        auc_drop: the largest drop below the AUC on the test split.
        calibration: the largest difference of mean score / mean label from 1, in either direction.
    """

    skew: float = 0.2
    drift: float = 0.2
    auc_drop: float = 0.05
    calibration: float = 0.2


@dataclass(frozen=True)
class Window:
    """The requests and scores of an hour or a day.

    Attributes:
        name: the beginning of the window, in UTC.
        requests: the number of requests for rankings.
        candidates: the number of candidates in them.
        mean_score: the mean score of the candidates.
        drift: the distance of the scores from those of the window before; None in the first window.
        labelled: the number of candidates with a known label.
        auc: the AUC over these; NaN without both labels, None without any.
        calibration: mean score / mean label over these.
    """

    name: str
    requests: int
    candidates: int
    mean_score: float
    drift: float | None
    labelled: int
    auc: float | None
    calibration: float | None


@dataclass(frozen=True)
class Findings:
    """All findings.

    Attributes:
        windows: the windows, in the order of time.
        skew: column -> the distance of its served values from those of the train split.
        drift: column -> the distance of the last window's values from the window before's; empty with one window.
        scores: the distance of the scores from those on the test split.
        judged: the metrics on the test split.
        edges: the edges of the scores' bins, one more than there are bins.
        shares: "test split", "served" and, with several windows, "last window" -> the share of the scores in each bin.
        alarms: a line for each exceeded limit.
    """

    windows: Sequence[Window]
    skew: Mapping[str, float]
    drift: Mapping[str, float]
    scores: float
    judged: Mapping[str, float]
    edges: Sequence[float]
    shares: Mapping[str, Sequence[float]]
    alarms: list[str] = field(default_factory=list)


def judge(
    served: Served, spec: FeatureSpec, origin: Origin, unit: Unit, limits: AlarmLimits, labels: Sequence[Path] = ()
) -> Findings:
    """Compares served requests with the model's training and evaluation.

    Args:
        served: the requests of the log.
        spec: the resolved spec of the dataset.
        origin: the artifacts of the run that pushed the model.
        unit: the length of the windows.
        limits: the limits whose excess is an alarm.
        labels: files in the dataset's format with the labels of candidates.

    Raises:
        DataError: the labels are of no served candidate, or `schema.reader.read` raises it.
    """
    schema = tfdv.load_schema_text(str(Path(origin.schema) / SCHEMA_FILE))
    of_training = read_statistics(origin.statistics, "train")
    alarms: list[str] = []
    everything = _statistics(served.values.items())
    skew = _distances("skew", of_training, everything, schema, limits.skew, alarms)
    of_window = _window_of(served.times, unit)
    names = sorted(set(of_window))
    drift: dict[str, float] = {}
    if len(names) > 1:
        before, last = (_statistics(_within(served, unit, name)) for name in names[-2:])
        drift = _distances("drift", last, before, schema, limits.drift, alarms)
    known = _labels_of(served, spec, labels) if labels else None
    request_windows = _window_of(served.requests, unit)
    windows: list[Window] = []
    scores_before: Floats | None = None
    for name in names:
        here = of_window == name
        scores = served.scores[here]
        windows.append(
            Window(
                name=name,
                requests=int((request_windows == name).sum()),
                candidates=len(scores),
                mean_score=float(scores.mean()),
                drift=None if scores_before is None else _divergence(scores, scores_before),
                **_judged(scores, known[here])
                if known is not None
                else {"labelled": 0, "auc": None, "calibration": None},
            )
        )
        scores_before = scores
    kept = evaluated_rows.read(origin.evaluation)[evaluated_rows.CANDIDATE].to_numpy().astype(np.float64)
    _check(windows[-1], origin.metrics, limits, alarms)
    told_apart = {"test split": kept, "served": served.scores}
    if len(names) > 1:
        told_apart["last window"] = served.scores[of_window == names[-1]]
    edges = np.histogram_bin_edges(np.concatenate(list(told_apart.values())), _BINS)
    return Findings(
        windows=windows,
        skew=skew,
        drift=drift,
        scores=_divergence(served.scores, kept),
        judged=origin.metrics,
        edges=edges.tolist(),
        shares={name: (np.histogram(each, edges)[0] / len(each)).tolist() for name, each in told_apart.items()},
        alarms=alarms,
    )


def _window_of(times: Ints, unit: Unit) -> np.ndarray:
    names = {
        time: datetime.datetime.fromtimestamp(time, datetime.UTC).strftime(_FORMS[unit]) for time in np.unique(times)
    }
    return np.array([names[time] for time in times])


def _within(served: Served, unit: Unit, name: str) -> Iterable[tuple[str, pa.Array]]:
    for column, values in served.values.items():
        yield column, values.filter(pa.array(_window_of(served.sent_at[column], unit) == name))


def _statistics(columns: Iterable[tuple[str, pa.Array]]) -> Statistics:
    """TFDV's statistics of columns, which may differ in length: a group's values are sent once, not once for each
    candidate."""
    found = Statistics()
    for name, values in columns:
        of_column = generate_statistics_in_memory(pa.RecordBatch.from_arrays([values], [name]))
        if not found.datasets:
            found.CopyFrom(of_column)
        else:
            found.datasets[0].features.extend(of_column.datasets[0].features)
    return found


def _distances(
    kind: Kind,
    statistics: Statistics,
    others: Statistics,
    schema: schema_pb2.Schema,
    limit: float,
    alarms: list[str],
) -> dict[str, float]:
    """Column -> distance, largest first. Adds an alarm for each distance above its limit."""
    compared = distances.comparators(schema, kind, {feature.name: limit for feature in schema.feature})
    than = {"skew": "those of the train split", "drift": "those of the window before"}[kind]
    found = distances.compare(statistics, others, compared, kind)
    alarms += [
        f"{each.column}: expected values that differ from {than} by at most {each.limit:g}, received {each.value:.3f}"
        for each in found
        if each.is_too_far
    ]
    return {each.column: each.value for each in sorted(found, key=lambda each: -each.value)}


def _divergence(scores: Floats, others: Floats) -> float:
    """Jensen-Shannon divergence, to base 2, of histograms of both."""
    edges = np.histogram_bin_edges(np.concatenate([scores, others]), _BINS)
    return float(jensenshannon(*(np.histogram(each, edges)[0] for each in (scores, others)), base=2) ** 2)


def _labels_of(served: Served, spec: FeatureSpec, files: Sequence[Path]) -> Floats:
    """The label of each candidate: NaN if it is unknown, the last one if there are several."""
    assert spec.ranking is not None, "only called with a ranking"
    names = [spec.ranking.group, spec.ranking.item, LABEL]
    known: dict[tuple[str, str], float] = {}
    for file in files:
        for batch in reader.read(file, spec, only=names):
            groups, items = (pc.cast(batch.column(name), pa.string()).to_pylist() for name in names[:2])
            known.update(zip(zip(groups, items, strict=True), batch.column(LABEL).to_pylist(), strict=True))
    groups, items = (pc.cast(part, pa.string()).to_pylist() for part in served.pairs)
    labels = np.array([known.get(pair, math.nan) for pair in zip(groups, items, strict=True)], np.float64)
    if np.isnan(labels).all():
        raise DataError(
            f"{files[0]}: expected labels of some of the {len(labels):,} candidates that were served, by "
            f"{names[0]} and {names[1]}, found none"
        )
    return labels


def _judged(scores: Floats, labels: Floats) -> dict[str, float | int | None]:
    known = ~np.isnan(labels)
    scores, labels = scores[known], labels[known]
    if not len(labels):
        return {"labelled": 0, "auc": None, "calibration": None}
    return {
        "labelled": len(labels),
        "auc": auc(labels, scores),
        "calibration": float(scores.mean() / labels.mean()) if labels.sum() else math.inf,
    }


def _check(last: Window, judged: Mapping[str, float], limits: AlarmLimits, alarms: list[str]) -> None:
    """Adds the alarms of the last window."""
    if last.drift is not None and last.drift > limits.drift:
        alarms.append(
            f"score: expected values that differ from those of the window before by at most {limits.drift:g}, "
            f"received {last.drift:.3f}"
        )
    if last.auc is not None and "auc" in judged and last.auc < judged["auc"] - limits.auc_drop:
        alarms.append(
            f"auc: expected at least {judged['auc'] - limits.auc_drop:.4f}, {limits.auc_drop:g} less than on the test "
            f"split, received {last.auc:.4f}"
        )
    if last.calibration is not None and not 1 / (1 + limits.calibration) <= last.calibration <= 1 + limits.calibration:
        alarms.append(
            f"calibration: expected {1 / (1 + limits.calibration):.3f} to {1 + limits.calibration:g}, "
            f"received {last.calibration:.3f}"
        )
