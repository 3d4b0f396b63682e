"""Distances between the distributions of two sets of columns, as TFDV measures them.

TFDV compares the columns for which a schema has comparators. `comparators` therefore makes a schema with these alone,
and without anything else that TFDV would check.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

Kind = Literal["skew", "drift"]
"""TFDV's comparators: skew between training and serving data, and drift between earlier and later data."""
Statistics: TypeAlias = statistics_pb2.DatasetFeatureStatisticsList

_OTHERS: Mapping[Kind, str] = {"skew": "serving_statistics", "drift": "previous_statistics"}


@dataclass(frozen=True)
class Distance:
    """The distance between two distributions of a column's values.

    Attributes:
        column: the column's path in TFDV, with dots between its steps.
        measure: TFDV's name of the distance.
        value: the distance.
        limit: the largest distance allowed.
    """

    column: str
    measure: str
    value: float
    limit: float

    @property
    def is_too_far(self) -> bool:
        """Whether the distance is above its limit."""
        return self.value > self.limit


def comparators(
    schema: schema_pb2.Schema, kind: Kind, limits: Mapping[str, float], own_first: bool = True
) -> schema_pb2.Schema:
    """A schema of the columns to compare.

    Args:
        schema: the dataset's schema.
        kind: the kind of comparators.
        limits: the largest Jensen-Shannon divergence, by column.
        own_first: whether the schema's own comparators override `limits`, and columns that have one are compared even
            without a limit.
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
    """The distances of the columns in both statistics for which `compared`, from `comparators`, has a comparator."""
    in_both = _columns(statistics) & _columns(others)
    both = schema_pb2.Schema(feature=[feature for feature in compared.feature if feature.name in in_both])
    return measured(tfdv.validate_statistics(statistics, both, **{_OTHERS[kind]: others}), kind)


def _columns(statistics: Statistics) -> set[str]:
    return {feature.path.step[0] for feature in statistics.datasets[0].features}


def measured(anomalies: anomalies_pb2.Anomalies, kind: Kind) -> list[Distance]:
    """The distances among TFDV's findings, ordered by column."""
    names = anomalies_pb2.DriftSkewInfo.Measurement.Type
    return [
        Distance(".".join(info.path.step), names.Name(measurement.type), measurement.value, measurement.threshold)
        for info in sorted(anomalies.drift_skew_info, key=lambda info: list(info.path.step))
        for measurement in getattr(info, f"{kind}_measurements")
    ]
