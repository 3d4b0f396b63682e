"""What the data is like, from the statistics and anomalies that TFDV left."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import tensorflow as tf
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2
from tfx.components.example_validator.executor import DEFAULT_FILE_NAME as ANOMALIES_FILE

from components import drift_validator
from components.example_gen import read_summary
from components.report.document import Column, Split
from components.schema_gen import FILE_NAME as SCHEMA_FILE
from schema.feature_spec import FeatureSpec, Numeric

SPAN_BEFORE = "span before"

_STATISTICS_FILE = "FeatureStats.pb"
_TRAIN = "train"
_MOST_FREQUENT = 3
_BARS = 10

Statistics = statistics_pb2.DatasetFeatureStatisticsList


def splits(examples: str, spec: FeatureSpec) -> list[Split]:
    """The splits of an examples artifact."""
    has_mean = spec.label.kind != "classes"
    return [
        Split(name=name, rows=size["rows"], mean_label=size["labels"] / max(1, size["rows"]) if has_mean else None)
        for name, size in read_summary(examples).items()
    ]


def columns(
    statistics: str, schema: str, spec: FeatureSpec, names: Sequence[str], between_spans: str | None
) -> list[Column]:
    """The raw columns, features first.

    Args:
        statistics: the folder of the statistics artifact.
        schema: that of the schema artifact.
        spec: the resolved spec.
        names: of the splits.
        between_spans: that of the anomalies between the last two spans, if there are any.
    """
    of_split = {name: _read(statistics, name) for name in names}
    drift = _between_splits(of_split, tfdv.load_schema_text(os.path.join(schema, SCHEMA_FILE)))
    if between_spans:
        for name, value in _measured(_read_anomalies(between_spans)).items():
            drift.setdefault(name, {})[SPAN_BEFORE] = value
    found = {feature.path.step[0]: feature for feature in of_split[_TRAIN].datasets[0].features}
    order = [*spec.features, *(name for name in spec.columns if name not in spec.features)]
    rows = of_split[_TRAIN].datasets[0].num_examples
    return [_column(found[name], spec, rows, drift.get(name, {})) for name in order if name in found]


def _read(folder: str, split: str) -> Statistics:
    return tfdv.load_stats_binary(os.path.join(folder, f"Split-{split}", _STATISTICS_FILE))


def _column(
    feature: statistics_pb2.FeatureNameStatistics, spec: FeatureSpec, rows: int, drift: Mapping[str, float]
) -> Column:
    name = feature.path.step[0]
    numbers = feature.num_stats if feature.HasField("num_stats") else None
    texts = feature.string_stats if feature.HasField("string_stats") else None
    common = (numbers or texts).common_stats
    listed = spec.columns[name].endswith("s")
    kind, unique, summary, histogram = "text", None, "", list[float]()
    if numbers is not None:
        kind = "number"
        if isinstance(spec.features.get(name), Numeric):
            summary = f"{numbers.mean:,.4g} ± {numbers.std_dev:,.4g}, {numbers.min:,.6g} to {numbers.max:,.6g}"
        else:
            summary = f"{numbers.min:,.15g} to {numbers.max:,.15g}"
        buckets = next((each.buckets for each in numbers.histograms if each.type == each.STANDARD), ())
        histogram = [bucket.sample_count for bucket in buckets]
    elif texts is not None:
        unique = texts.unique
        top = [(value.value, value.frequency) for value in texts.top_values]
        total = max(1, common.tot_num_values or common.num_non_missing)
        summary = ", ".join(f"{value} {count / total:.0%}" for value, count in top[:_MOST_FREQUENT])
        histogram = [count for _, count in top[:_BARS]]
    return Column(
        name=name,
        kind="list" if listed else kind,
        missing=max(0.0, 1 - common.num_non_missing / max(1, rows)),
        unique=unique,
        summary=summary,
        histogram=[count / max(1.0, sum(histogram)) for count in histogram],
        drift=drift,
    )


def _between_splits(of_split: Mapping[str, Statistics], schema: schema_pb2.Schema) -> dict[str, dict[str, float]]:
    """Column -> split -> how far its values are from those of the train split."""
    for feature in schema.feature:
        # No distance is above 1, so that all are measured and none is an anomaly.
        feature.drift_comparator.Clear()
        feature.drift_comparator.jensen_shannon_divergence.threshold = 1.0
    found: dict[str, dict[str, float]] = {}
    for split, statistics in of_split.items():
        if split != _TRAIN:
            anomalies = tfdv.validate_statistics(statistics, schema, previous_statistics=of_split[_TRAIN])
            for name, value in _measured(anomalies).items():
                found.setdefault(name, {})[split] = value
    return found


def _read_anomalies(folder: str) -> anomalies_pb2.Anomalies:
    with tf.io.gfile.GFile(os.path.join(folder, f"Split-{drift_validator.SPLIT}", ANOMALIES_FILE), "rb") as file:
        return anomalies_pb2.Anomalies.FromString(file.read())


def _measured(anomalies: anomalies_pb2.Anomalies) -> dict[str, float]:
    """Column -> how far its values are from others, as TFDV has measured it."""
    return {
        info.path.step[0]: info.drift_measurements[0].value
        for info in anomalies.drift_skew_info
        if info.drift_measurements
    }
