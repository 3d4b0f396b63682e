"""What a model is made for: the columns of a transformed example, in the terms of a layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import tensorflow_transform as tft

from schema.feature_spec import Categorical, FeatureSpec, Multivalent, Numeric, Part, embedding_width
from trainer import vocabulary


@dataclass(frozen=True)
class InputColumn:
    """One entry of the dictionary that a model is called with.

    Categorical columns hold int64 [batch] ids, multi-valent ones int64 [batch, length] ids padded with -1, numeric
    ones float32 [batch].
    """

    name: str
    kind: Literal["categorical", "multivalent", "numeric"]
    parts: tuple[Part, ...]
    size: int = 0
    """Number of ids."""
    width: int = 0
    """Width of the embedding in the deep part."""
    table: str = ""
    """Columns of the same table share one embedding."""
    combiner: Literal["mean", "sum", "sqrtn"] = "sum"
    """How the embeddings of a multi-valent column become one."""
    role: Literal["group", "item"] | None = None
    """What the column is in rankings."""


def input_columns(spec: FeatureSpec, sizes: Mapping[str, int]) -> tuple[InputColumn, ...]:
    """The columns of a dataset's transformed examples, features first, then crosses, each in the spec's order.

    Args:
        spec: the resolved spec.
        sizes: number of ids of every categorical and multi-valent column, as `sizes_of` gives them.
    """
    columns: list[InputColumn] = []
    roles: dict[str, Literal["group", "item"]] = (
        {spec.ranking.group: "group", spec.ranking.item: "item"} if spec.ranking else {}
    )
    for name, feature in spec.features.items():
        if isinstance(feature, Numeric):
            columns += _numeric(name, feature)
            continue
        base = spec.base_name(name)
        columns.append(
            InputColumn(
                name,
                "multivalent" if isinstance(feature, Multivalent) else "categorical",
                feature.parts,
                size=sizes[name],
                # A shared table is as large as the largest of its columns needs.
                width=embedding_width(sizes[base], spec.base(name).embedding),
                table=base,
                combiner=feature.combiner if isinstance(feature, Multivalent) else "sum",
                role=roles.get(name),
            )
        )
    for cross in spec.crosses:
        columns.append(
            InputColumn(
                cross.name,
                "multivalent" if spec.is_multivalent(cross) else "categorical",
                cross.parts,
                size=sizes[cross.name],
                width=embedding_width(sizes[cross.name], cross.embedding),
                table=cross.name,
                combiner=cross.combiner,
            )
        )
    return tuple(columns)


def _numeric(name: str, feature: Numeric) -> list[InputColumn]:
    wide = tuple(part for part in feature.parts if part == "wide")
    if not feature.buckets:
        columns = [InputColumn(name, "numeric", feature.parts)]
    else:
        # The linear part can follow any curve over buckets, and only a straight line over the value.
        deep = tuple(part for part in feature.parts if part == "deep")
        bucket = f"{name}_bucket"
        columns = [
            InputColumn(name, "numeric", deep),
            InputColumn(bucket, "categorical", wide, size=feature.buckets + 1, table=bucket),
        ]
    if feature.missing_indicator:
        columns.append(InputColumn(f"{name}_missing", "numeric", feature.parts))
    return [column for column in columns if column.parts]


def sizes_of(spec: FeatureSpec, transform_output: tft.TFTransformOutput) -> dict[str, int]:
    """The number of ids of each categorical and multi-valent column of the transformed examples.

    A vocabulary takes its tokens and the OOV buckets, a hash its buckets; a categorical feature one more, for rows
    where it is missing (a cross of a missing value is a token like others, a missing list an empty one).
    """
    path = transform_output.vocabulary_file_by_name(vocabulary.ASSET)
    vocabularies = vocabulary.read(path) if path else {}
    sizes: dict[str, int] = {}
    for name, feature in spec.features.items():
        if not isinstance(feature, Numeric):
            base = spec.base(name)
            known = len(vocabularies.get(spec.base_name(name), ()))
            sizes[name] = (base.hash_buckets or known + base.oov_buckets) + isinstance(feature, Categorical)
    for cross in spec.crosses:
        sizes[cross.name] = cross.hash_buckets or len(vocabularies[cross.name]) + cross.oov_buckets
    return sizes
