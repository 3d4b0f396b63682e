"""Facts about the data, from TFDV's statistics and anomalies."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import tensorflow as tf
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2
from tfx.components.example_validator.executor import DEFAULT_FILE_NAME as ANOMALIES_FILE

from components import distances, drift_validator
from components.example_gen import read_summary
from components.report.document import Column, Split
from components.schema_gen import SCHEMA_FILE
from schema.feature_spec import FeatureSpec, Numeric

SPAN_BEFORE = "span before"

_STATISTICS_FILE = "FeatureStats.pb"
_TRAIN = "train"
_MOST_FREQUENT = 3
_BARS = 10


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
        schema: the folder of the schema artifact.
        spec: the resolved spec.
        names: the splits' names.
        between_spans: the folder of the anomalies between the last two spans; None without spans.
    """
    of_split = {name: read_statistics(statistics, name) for name in names}
    drift = _between_splits(of_split, tfdv.load_schema_text(os.path.join(schema, SCHEMA_FILE)))
    if between_spans:
        for each in distances.measured(_read_anomalies(between_spans), "drift"):
            drift.setdefault(each.column, {})[SPAN_BEFORE] = each.value
    found = {feature.path.step[0]: feature for feature in of_split[_TRAIN].datasets[0].features}
    order = [*spec.features, *(name for name in spec.columns if name not in spec.features)]
    rows = of_split[_TRAIN].datasets[0].num_examples
    return [_column(found[name], spec, rows, drift.get(name, {})) for name in order if name in found]


def read_statistics(folder: str, split: str) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Reads the statistics of a split from the folder of StatisticsGen's artifact."""
    return tfdv.load_stats_binary(os.path.join(folder, f"Split-{split}", _STATISTICS_FILE))


def _column(
    feature: statistics_pb2.FeatureNameStatistics, spec: FeatureSpec, rows: int, drift: Mapping[str, float]
) -> Column:
    name = feature.path.step[0]
    is_number = feature.HasField("num_stats")
    found = feature.num_stats if is_number else feature.string_stats
    common, kind = found.common_stats, spec.columns[name]
    shares = [count / max(1, common.tot_num_values or common.num_non_missing) for count in _heights(feature)]
    return Column(
        name=name,
        kind="list" if kind.endswith("s") else "text" if kind == "string" else "number",
        missing=max(0.0, 1 - common.num_non_missing / max(1, rows)),
        unique=None if is_number else found.unique,
        summary=_numbers(found, spec.features.get(name)) if is_number else _most_frequent(found, shares),
        histogram=shares,
        drift=drift,
    )


def _heights(feature: statistics_pb2.FeatureNameStatistics) -> list[float]:
    """The counts of values: numbers in bins of equal width, else those of the most frequent values."""
    if feature.HasField("num_stats"):
        histograms = feature.num_stats.histograms
        buckets = next((each.buckets for each in histograms if each.type == each.STANDARD), ())
        return [bucket.sample_count for bucket in buckets]
    return [value.frequency for value in feature.string_stats.top_values[:_BARS]]


def _numbers(found: statistics_pb2.NumericStatistics, feature: object) -> str:
    if isinstance(feature, Numeric):
        return f"{found.mean:,.4g} ± {found.std_dev:,.4g}, {found.min:,.6g} to {found.max:,.6g}"
    return f"{found.min:.15g} to {found.max:.15g}"  # ids, times


def _most_frequent(found: statistics_pb2.StringStatistics, shares: Sequence[float]) -> str:
    top = zip(found.top_values[:_MOST_FREQUENT], shares, strict=False)
    return ", ".join(f"{value.value} {share:.0%}" for value, share in top)


def _between_splits(
    of_split: Mapping[str, statistics_pb2.DatasetFeatureStatisticsList], schema: schema_pb2.Schema
) -> dict[str, dict[str, float]]:
    """The distances of each column's values from those of the train split, by column and split."""
    everything = {feature.name: 1.0 for feature in schema.feature}
    compared = distances.comparators(schema, "drift", everything, own_first=False)
    found: dict[str, dict[str, float]] = {}
    for split, statistics in of_split.items():
        if split != _TRAIN:
            for each in distances.compare(statistics, of_split[_TRAIN], compared, "drift"):
                found.setdefault(each.column, {})[split] = each.value
    return found


def _read_anomalies(folder: str) -> anomalies_pb2.Anomalies:
    with tf.io.gfile.GFile(os.path.join(folder, f"Split-{drift_validator.SPLIT}", ANOMALIES_FILE), "rb") as file:
        return anomalies_pb2.Anomalies.FromString(file.read())
