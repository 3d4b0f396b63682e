"""How far the values of columns are from others, as TFDV measures it.

TFDV compares what a schema has comparators for. So a schema is made that has those, and nothing else that TFDV could
check.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

Kind = Literal["skew", "drift"]
"""TFDV's comparators: of what is served with what was trained on, and of data with earlier data."""
Statistics: TypeAlias = statistics_pb2.DatasetFeatureStatisticsList

_OTHERS: Mapping[Kind, str] = {"skew": "serving_statistics", "drift": "previous_statistics"}


@dataclass(frozen=True)
class Distance:
    """How far a column's values are from others.

    Attributes:
        column: its name; with those of what it is part of before, in TFDV's path.
        measure: TFDV's name of the distance.
        value: the distance.
        limit: what it may be.
    """

    column: str
    measure: str
    value: float
    limit: float

    @property
    def is_too_far(self) -> bool:
        """Whether it is above its limit."""
        return self.value > self.limit


def comparators(
    schema: schema_pb2.Schema, kind: Kind, limits: Mapping[str, float], own_first: bool = True
) -> schema_pb2.Schema:
    """A schema of the columns to compare.

    Args:
        schema: of the dataset.
        kind: which comparators.
        limits: column -> the largest Jensen-Shannon divergence.
        own_first: whether a comparator of the schema's goes before the limit, and is enough to compare a column.
    """
    name = f"{kind}_comparator"
    compared = schema_pb2.Schema()
    for feature in schema.feature:
        has_own = own_first and feature.HasField(name)
        if has_own or feature.name in limits:
            comparator = getattr(compared.feature.add(name=feature.name, type=feature.type), name)
            if has_own:
                comparator.CopyFrom(getattr(feature, name))
            else:
                comparator.jensen_shannon_divergence.threshold = limits[feature.name]
    return compared


def compare(statistics: Statistics, others: Statistics, compared: schema_pb2.Schema, kind: Kind) -> list[Distance]:
    """The distances of the columns that `comparators` has named, of those that both sides have."""
    in_both = _columns(statistics) & _columns(others)
    both = schema_pb2.Schema(feature=[feature for feature in compared.feature if feature.name in in_both])
    return measured(tfdv.validate_statistics(statistics, both, **{_OTHERS[kind]: others}), kind)


def _columns(statistics: Statistics) -> set[str]:
    return {feature.path.step[0] for feature in statistics.datasets[0].features}


def measured(anomalies: anomalies_pb2.Anomalies, kind: Kind) -> list[Distance]:
    """The distances among TFDV's findings, by column."""
    names = anomalies_pb2.DriftSkewInfo.Measurement.Type
    return [
        Distance(".".join(info.path.step), names.Name(measurement.type), measurement.value, measurement.threshold)
        for info in sorted(anomalies.drift_skew_info, key=lambda info: list(info.path.step))
        for measurement in getattr(info, f"{kind}_measurements")
    ]
