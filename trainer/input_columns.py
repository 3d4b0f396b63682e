"""A model's input columns: the columns of a transformed example, as layers see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import tensorflow_transform as tft

from schema.feature_spec import (
    Categorical,
    Cross,
    FeatureSpec,
    Multivalent,
    Numeric,
    Part,
    Side,
    embedding_width,
)
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
    """The number of ids."""
    width: int = 0
    """The width of the embedding in the deep part."""
    table: str = ""
    """The name of the embedding table. Columns with the same table share their embeddings."""
    combiner: Literal["mean", "sum", "sqrtn"] = "sum"
    """The function that combines the embeddings of a multi-valent column's ids."""
    role: Literal["group", "item"] | None = None
    """The role of the column in rankings."""
    side: Side = "pair"
    """The side of a ranking that the column describes."""


@dataclass(frozen=True)
class Ids:
    """The meaning of a column's ids, in their order: tokens, then buckets, then a missing value."""

    tokens: Sequence[str]
    """The tokens of the vocabulary."""
    buckets: int
    """The number of ids for all other values: OOV buckets, or without a vocabulary, hash or quantile buckets."""
    missing: bool
    """Whether there is an id for a missing value."""
    vocabulary: str | None
    """The name of the vocabulary, which columns that share an embedding have in common; None without a vocabulary."""

    @property
    def size(self) -> int:
        """The number of ids."""
        return len(self.tokens) + self.buckets + self.missing


def input_columns(
    spec: FeatureSpec, ids: Mapping[str, Ids], widths: Mapping[str, int] = MappingProxyType({})
) -> tuple[InputColumn, ...]:
    """The columns of a dataset's transformed examples, features first, then crosses, each in the spec's order.

    Args:
        spec: the resolved spec.
        ids: the ids of every column that has ids, from `ids_of`.
        widths: the widths of embeddings by table, which override the rule for widths that the spec does not set.
    """
    columns: list[InputColumn] = []
    roles: dict[str, Literal["group", "item"]] = (
        {spec.ranking.group: "group", spec.ranking.item: "item"} if spec.ranking else {}
    )
    for name, feature in spec.features.items():
        if isinstance(feature, Numeric):
            columns += _numeric(name, feature, ids, spec.side(name))
            continue
        base = spec.base_name(name)
        columns.append(
            InputColumn(
                name,
                "multivalent" if isinstance(feature, Multivalent) else "categorical",
                feature.parts,
                size=ids[name].size,
                # A shared table is as large as the largest of its columns needs.
                width=embedding_width(ids[base].size, spec.base(name).embedding or widths.get(base)),
                table=base,
                combiner=feature.combiner if isinstance(feature, Multivalent) else "sum",
                role=roles.get(name),
                side=spec.side(name),
            )
        )
    for cross in spec.crosses:
        columns.append(
            InputColumn(
                cross.name,
                "multivalent" if spec.is_multivalent(cross) else "categorical",
                cross.parts,
                size=ids[cross.name].size,
                width=embedding_width(ids[cross.name].size, cross.embedding or widths.get(cross.name)),
                table=cross.name,
                combiner=cross.combiner,
                side=spec.side(cross.name),
            )
        )
    return tuple(columns)


def _numeric(name: str, feature: Numeric, ids: Mapping[str, Ids], side: Side) -> list[InputColumn]:
    wide = tuple(part for part in feature.parts if part == "wide")
    if not feature.buckets:
        columns = [InputColumn(name, "numeric", feature.parts, side=side)]
    else:
        # With buckets, the linear part can follow any curve over the value; without, only a straight line.
        deep = tuple(part for part in feature.parts if part == "deep")
        bucket = f"{name}_bucket"
        columns = [
            InputColumn(name, "numeric", deep, side=side),
            InputColumn(bucket, "categorical", wide, size=ids[bucket].size, table=bucket, side=side),
        ]
    if feature.missing_indicator:
        columns.append(InputColumn(f"{name}_missing", "numeric", feature.parts, side=side))
    return [column for column in columns if column.parts]


def ids_of(spec: FeatureSpec, transform_output: tft.TFTransformOutput) -> dict[str, Ids]:
    """The meaning of the ids in transformed examples, by column.

    A categorical feature has an id for a missing value. A cross with a missing value is a token like others, and a
    missing list is an empty list.
    """
    path = transform_output.vocabulary_file_by_name(vocabulary.ASSET)
    vocabularies = vocabulary.read(path) if path else {}

    def ids_for(name: str, owner: Categorical | Multivalent | Cross, missing: bool) -> Ids:
        if owner.hash_buckets:
            return Ids((), owner.hash_buckets, missing, None)
        return Ids(vocabularies.get(name, ()), owner.oov_buckets, missing, name)

    ids = {cross.name: ids_for(cross.name, cross, False) for cross in spec.crosses}
    for name, feature in spec.features.items():
        if not isinstance(feature, Numeric):
            ids[name] = ids_for(spec.base_name(name), spec.base(name), isinstance(feature, Categorical))
        elif feature.buckets:
            ids[f"{name}_bucket"] = Ids((), feature.buckets, True, None)
    return ids
