"""Describes a dataset before training: every column, cross and split in numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schema.answers import LabelKind
from schema.checks import Checks
from schema.counts import TokenCounts
from schema.dataset import Dataset
from schema.errors import listing
from schema.feature_spec import (
    Categorical,
    Cross,
    FeatureSpec,
    Label,
    Multivalent,
    Numeric,
    Part,
    RandomSplits,
    Split,
    TimeSplits,
    embedding_width,
)
from schema.identity import key_columns, splits_by_hash
from schema.splits import read_splits, time_boundaries


@dataclass(frozen=True)
class Input:
    """A feature or a cross as an input of the model.

    Attributes:
        name: the name of the feature or cross.
        holds: the type of the column, or the columns of the cross.
        becomes: its representation in the model, in words.
        missing: the share of the train split's rows without a value; None for crosses.
        ids: the number of ids; 0 for numbers without buckets.
        width: the numbers that it adds to the deep part's input, such as the width of its embedding; 0 if the deep
            part does not see it.
        parts: the parts of a Wide & Deep model that see it.
    """

    name: str
    holds: str
    becomes: str
    missing: float | None
    ids: int
    width: int
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class SplitSize:
    """The number of rows of a split, and the sum of their labels, which for two classes is the number of positives."""

    rows: int
    labels: float


@dataclass(frozen=True)
class Description:
    """A dataset in numbers.

    Attributes:
        name: the name of the dataset.
        label: the kind of the label.
        features: the features, in the spec's order.
        crosses: the crosses, in the spec's order.
        others: column that is not a feature -> its role.
        splits: the size of each split.
        split_by: the rule that assigns rows to splits, in words.
        sizes: the number of ids of each categorical and multi-valent feature and of each cross.
        remarks: oddities that are not errors, a sentence each.
        deep_width: the number of inputs of the deep part's first layer.
        wide_ids: the number of ids that have a weight in the wide part, buckets included.
    """

    name: str
    label: LabelKind
    features: tuple[Input, ...]
    crosses: tuple[Input, ...]
    others: Mapping[str, str]
    splits: Mapping[Split, SplitSize]
    split_by: str
    sizes: Mapping[str, int]
    remarks: Sequence[str]
    deep_width: int
    wide_ids: int


def describe(dataset: Dataset) -> Description:
    """Reads all rows of a dataset, checks them, and describes the model's inputs.

    Raises:
        DataError: the reader, the splits or the checks find a mistake.
    """
    spec = dataset.spec
    boundaries = time_boundaries([path for paths in dataset.files.values() for path in paths], spec)
    checks, counts = Checks(spec), TokenCounts(spec)
    for name, rows, path in read_splits(dataset, boundaries, checks.add_unknown):
        checks.add(name, rows, path)
        if name == "train":
            counts.add(rows)
    checks.verify()
    if counts.crosses:
        for name, rows, _ in read_splits(dataset, boundaries):
            if name == "train":
                counts.add_crossed(rows)

    tokens = counts.sizes()
    missing = checks.missing_shares("train")
    features = [_feature(spec, name, tokens, missing[name]) for name in spec.features]
    crosses = [_cross(cross, tokens) for cross in spec.crosses]
    inputs = [*features, *crosses]
    return Description(
        name=dataset.name,
        label=spec.label.kind,
        features=tuple(features),
        crosses=tuple(crosses),
        others=_others(spec),
        splits={name: SplitSize(**size) for name, size in checks.summary().items()},
        split_by=_split_words(spec),
        sizes={entry.name: entry.ids for entry in inputs if entry.name not in _numeric(spec)},
        remarks=[*dataset.remarks, *checks.remarks()],
        deep_width=sum(entry.width for entry in inputs),
        wide_ids=sum(entry.ids for entry in inputs if "wide" in entry.parts),
    )


def _numeric(spec: FeatureSpec) -> dict[str, Numeric]:
    return {name: feature for name, feature in spec.features.items() if isinstance(feature, Numeric)}


def _feature(spec: FeatureSpec, name: str, tokens: Mapping[str, int], missing: float) -> Input:
    feature = spec.features[name]
    if isinstance(feature, Numeric):
        ids, becomes = feature.buckets + 1 if feature.buckets else 0, _numeric_words(feature)
        width = 1 + feature.missing_indicator
    else:
        base = spec.base(name)
        known = base.hash_buckets or tokens[spec.base_name(name)] + base.oov_buckets
        # One more id for missing values; a missing list is empty instead. The embedding table has the base's size.
        ids = known + isinstance(feature, Categorical)
        width = embedding_width(known + isinstance(base, Categorical), base.embedding)
        becomes = _ids_words(base, tokens.get(spec.base_name(name), 0))
        if isinstance(feature, Categorical):
            becomes += " + 1 for missing"
        else:
            becomes += f"; {feature.combiner} of a row's"
        if feature.shares:
            becomes += f"; shared with {feature.shares}"
    return Input(
        name=name,
        holds=spec.columns[name],
        becomes=becomes,
        missing=missing,
        ids=ids,
        width=width if "deep" in feature.parts else 0,
        parts=feature.parts,
    )


def _cross(cross: Cross, tokens: Mapping[str, int]) -> Input:
    ids = cross.hash_buckets or tokens[cross.name] + cross.oov_buckets
    return Input(
        name=cross.name,
        holds=" × ".join(cross.columns),
        becomes=_ids_words(cross, tokens.get(cross.name, 0)),
        missing=None,
        ids=ids,
        width=embedding_width(ids, cross.embedding) if "deep" in cross.parts else 0,
        parts=cross.parts,
    )


def _ids_words(ids: Categorical | Multivalent | Cross, tokens: int) -> str:
    if ids.hash_buckets:
        return f"{ids.hash_buckets:,} hash buckets"
    words = f"{tokens:,} tokens"
    if ids.vocabulary.min_count > 1:
        words += f" seen {ids.vocabulary.min_count:,} times or more"
    if ids.vocabulary.top_k:
        words += f", the {ids.vocabulary.top_k:,} most frequent"
    return f"{words} + {ids.oov_buckets:,} for others"


def _split_words(spec: FeatureSpec) -> str:
    if isinstance(spec.splits, TimeSplits):
        return f"the time in {spec.splits.column}"
    if not splits_by_hash(spec):
        return "files"
    by_hash = "a hash of " + (listing(key_columns(spec), 5) or "each row's place in its file")
    if not key_columns(spec):
        by_hash += "; say splits.key if files are written anew with their rows in another order"
    return by_hash if isinstance(spec.splits, RandomSplits) else f"files, train and eval by {by_hash}"


_SCALES = {"z_score": "z-score", "min_max": "scaled to 0…1", "none": "as it is"}


def _numeric_words(feature: Numeric) -> str:
    words = (["log1p"] if feature.log1p else []) + [_SCALES[feature.scale]]
    if feature.buckets:
        words.append(f"{feature.buckets:,} buckets + 1 for missing")
    if feature.missing_indicator:
        words.append("whether it is missing")
    return ", ".join(words)


def _label_words(label: Label) -> str:
    if label.kind == "number":
        return "label, a number"
    if isinstance(label.classes, int):
        return f"label, of {label.classes:,} classes"
    if label.classes:
        return f"label, one of {_values(label.classes)}"
    rule = label.positive
    return f"label, positive: {'1' if rule is None else f'one of {_values(rule)}' if isinstance(rule, tuple) else rule}"


def _values(values: Sequence[str] | Sequence[float]) -> str:
    return listing(value if isinstance(value, str) else f"{value:g}" for value in values)


def _others(spec: FeatureSpec) -> dict[str, str]:
    """Column that is not a feature -> its role."""
    others = {label.column: _label_words(label) for label in spec.labels.values()}
    if spec.weight:
        others[spec.weight] = "weight of the example"
    for name in spec.columns:
        if name not in spec.features:
            others[name] = "kept for the splits, rankings or slices"
    for name in spec.ignore:
        others.setdefault(name, "ignored")
    return others
