"""The feature language: what each column of a dataset is, and what the model gets to see of it.

A dataset's `features.yaml` is read into a `FeatureSpec`. Everything has a default, so that the shortest
spec is a label and nothing else::

    label: clicked

`FeatureSpec.resolve` completes such a spec from the columns of the files: every column that is not
named gets the feature that fits its type. A resolved spec is all that the pipeline needs to know about
a dataset; it travels between components as JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from pydantic import ValidationError, field_validator, model_validator

from schema.errors import SpecError, listing, nearest
from schema.explain import explain, read_yaml
from schema.features import (
    MISSING,
    AnyFeature,
    Categorical,
    ColumnType,
    Cross,
    Described,
    Feature,
    Multivalent,
    Numeric,
    Part,
    Vocabulary,
    default_feature,
    embedding_width,
)
from schema.rows import (
    SPLITS,
    GivenSplits,
    Label,
    RandomSplits,
    Ranking,
    Source,
    Split,
    Splits,
    TimeSplits,
)

__all__ = [
    "LABEL",
    "MISSING",
    "SPLITS",
    "WEIGHT",
    "AnyFeature",
    "Categorical",
    "ColumnType",
    "Cross",
    "Feature",
    "FeatureSpec",
    "GivenSplits",
    "Label",
    "Multivalent",
    "Numeric",
    "Part",
    "RandomSplits",
    "Ranking",
    "Source",
    "Split",
    "Splits",
    "TimeSplits",
    "Vocabulary",
    "embedding_width",
    "load",
]

LABEL = "_label"
"""Name of the label in examples, float32: 0 or 1, the place of a class, or a number; names with a leading underscore
are Rankline's own."""
WEIGHT = "_weight"
"""Name of the example weight (float32) in examples, where the spec names one."""

_NOT_IN_NAMES = "/\\*?[]"


class FeatureSpec(Described):
    """A dataset's description, as in its `features.yaml`."""

    name: str = ""
    description: str = ""
    source: Source = Source()
    label: Label
    other_labels: Mapping[str, Label] = {}
    """What else is to be predicted of the same rows, by a name: a purchase beside a click. Rows may lack these."""
    weight: str | None = None
    """Column with the examples' weights."""
    ignore: tuple[str, ...] = ()
    """Columns that are no features."""
    columns: Mapping[str, ColumnType] = {}
    """Types of columns that the files leave open or that are to be read otherwise, such as a zip code as a string.
    In a resolved spec: of all columns that examples hold."""
    ranking: Ranking | None = None
    splits: Splits = RandomSplits()
    features: Mapping[str, Feature] = {}
    crosses: tuple[Cross, ...] = ()
    slices: tuple[tuple[str, ...], ...] = ()
    """Combinations of columns by whose values the evaluation is broken down."""

    @model_validator(mode="before")
    @classmethod
    def _splits_of_files(cls, value: object) -> object:
        """Files per split are given splits, without saying so twice."""
        if isinstance(value, Mapping) and "splits" not in value:
            source = value.get("source")
            if isinstance(source, Mapping) and isinstance(source.get("files"), Mapping):
                return {**value, "splits": {"by": "given"}}
        return value

    @field_validator("name")
    @classmethod
    def _folder_name(cls, value: str) -> str:
        """Runs are kept in folders of that name, in which TFX looks for files by pattern."""
        if not value.isprintable() or value.startswith(".") or any(map(value.count, _NOT_IN_NAMES)):
            raise ValueError(
                f"expected a name without {' '.join(_NOT_IN_NAMES)} and without a dot in front, received {value!r}"
            )
        return value

    @field_validator("label", mode="before")
    @classmethod
    def _label_column(cls, value: object) -> object:
        if isinstance(value, int | float):
            raise ValueError(f'expected a column\'s name, with quotes where it is a number, such as "{value}"')
        return {"column": value} if isinstance(value, str) else value

    @field_validator("other_labels", mode="before")
    @classmethod
    def _other_label_columns(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        return {name: {"column": label} if isinstance(label, str) else label for name, label in value.items()}

    @field_validator("splits", mode="before")
    @classmethod
    def _splits_by(cls, value: object) -> object:
        if isinstance(value, Mapping) and "by" not in value:
            return {"by": "random", **value}
        return value

    @field_validator("slices", mode="before")
    @classmethod
    def _slice_columns(cls, value: object) -> object:
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [[entry] if isinstance(entry, str) else entry for entry in value]
        return value

    @field_validator("features", mode="before")
    @classmethod
    def _feature_type(cls, value: object) -> object:
        """Lets `age: numeric` stand for `age: {type: numeric}`, and nothing for `{type: categorical}`."""
        if not isinstance(value, Mapping):
            return value

        def written_out(feature: object) -> object:
            if isinstance(feature, str):
                return {"type": feature}
            if feature is None or isinstance(feature, Mapping):
                return {"type": "categorical", **(feature or {})}
            return feature

        return {name: written_out(feature) for name, feature in value.items()}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = [
            *self._label_mistakes(), *self._name_clashes(), *self._clashing_roles(), *self._sharing_mistakes()
        ]  # fmt: skip
        given = isinstance(self.source.files, Mapping)
        if given and self.splits.by != "given":
            problems.append(f"splits.by: expected 'given' with files per split, received {self.splits.by!r}")
        if self.splits.by == "given" and not given:
            problems.append("source.files: expected files per split (train, test and perhaps eval), received one path")
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _label_mistakes(self) -> Iterator[str]:
        for name, label in self.other_labels.items():
            if label.kind != "binary" or self.label.kind != "binary":
                yield (
                    f"other_labels.{name}: expected this and the first label to have two classes, "
                    f"received {label.kind} beside {self.label.kind}"
                )
            if not re.fullmatch("[a-z][a-z0-9_]*", name):
                yield f"other_labels: expected a name of small letters, digits and _, received {name!r}"

    def _name_clashes(self) -> Iterator[str]:
        names = [("features", name) for name in self.features]
        names += [(f"crosses[{index}].name", cross.name) for index, cross in enumerate(self.crosses)]
        for name, feature in self.features.items():
            if isinstance(feature, Numeric):
                names += [(f"features.{name}", derived) for derived in feature.derived(name)]
        seen: set[str] = set()
        for key, name in names:
            if name in seen:
                yield f"{key}: expected names that differ from each other, received {name!r} twice"
            if name.startswith("_"):
                yield (
                    f"{key}: expected no leading underscore, which marks Rankline's own names, received {name!r}; "
                    "rename the column"
                )
            seen.add(name)

    def _clashing_roles(self) -> Iterator[str]:
        others = ((f"other_labels.{name}.column", label.column) for name, label in self.other_labels.items())
        for role, name in (("label.column", self.label.column), *others, ("weight", self.weight)):
            if name in self.features:
                yield f"{role}: expected a column that is no feature, received the feature {name!r}"
            for key, used in self._kept_columns():
                if used == name:
                    yield f"{key}: expected another column than {role}, received {name!r}"
        if self.weight == self.label.column:
            yield f"weight: expected another column than the label, received {self.weight!r}"
        for name in self.ignore:
            if name in self.features:
                yield f"ignore: expected columns that are no features, received the feature {name!r}"

    def _sharing_mistakes(self) -> Iterator[str]:
        for name, feature in self.features.items():
            if isinstance(feature, Numeric) or feature.shares is None:
                continue
            base = self.features.get(feature.shares)
            own = feature.changed("vocabulary", "hash_buckets", "oov_buckets", "embedding")
            if own:
                yield (
                    f"features.{name}: expected 'shares' alone, since {feature.shares!r} decides the rest, "
                    f"received also {listing(own)}"
                )
            elif base is None:
                yield (
                    f"features.{name}.shares: expected another feature, "
                    f"received {feature.shares!r}{nearest(feature.shares, self.features)}"
                )
            elif isinstance(base, Numeric) or base.shares is not None or feature.shares == name:
                yield (
                    f"features.{name}.shares: expected a categorical or multi-valent feature with a vocabulary of "
                    f"its own, received {feature.shares!r}"
                )

    # What the rest of Rankline asks of a resolved spec.

    @property
    def labels(self) -> dict[str, Label]:
        """The labels by their names in examples, the first being `LABEL`."""
        return {LABEL: self.label, **{f"{LABEL}_{name}": label for name, label in self.other_labels.items()}}

    @property
    def input_columns(self) -> dict[str, ColumnType]:
        """The raw columns that a model is asked with, in a fixed order."""
        return {name: self.columns[name] for name in self.features}

    def base_name(self, name: str) -> str:
        """The feature that decides about the vocabulary and embedding of the categorical feature `name`."""
        feature = self.features[name]
        assert not isinstance(feature, Numeric), f"{name} is numeric"
        return feature.shares or name

    def base(self, name: str) -> Categorical | Multivalent:
        """The feature called `base_name(name)`."""
        feature = self.features[self.base_name(name)]
        assert not isinstance(feature, Numeric), f"{name} shares a numeric feature"
        return feature

    def is_multivalent(self, cross: Cross) -> bool:
        """Whether the cross can give other than exactly one token per row."""
        return any(isinstance(self.features[column], Multivalent) for column in cross.columns)

    def resolve(self, columns: Mapping[str, ColumnType], path: Path | str = "features.yaml") -> FeatureSpec:
        """The spec completed and checked against the columns that the files have.

        Args:
            columns: name and type of each column, as found in the files.
            path: where the spec comes from, for error messages.

        Returns:
            A spec with a feature for every column that is not used otherwise or ignored, and with the type of
            every column that examples hold.

        Raises:
            SpecError: a name that is no column, or a feature that does not fit its column's type.
        """
        _refuse(path, self._unknown_columns(columns))
        columns = {**columns, **self.columns}
        features, problems = self._completed_features(columns)
        _refuse(path, problems)

        types: dict[str, ColumnType] = {}
        for name, feature in features.items():
            try:
                types[name] = feature.kept_as(columns[name])
            except ValueError as error:
                problems.append(f"features.{name}: {error}")
        for _, name in self._kept_columns():
            types.setdefault(name, columns[name])
        resolved = self.model_copy(update={"features": features, "columns": types})
        _refuse(path, [*problems, *resolved._name_clashes(), *resolved._unfit_uses()])
        return resolved

    def _unknown_columns(self, columns: Mapping[str, ColumnType]) -> Iterator[str]:
        named = [("label.column", self.label.column)]
        named += [(f"other_labels.{name}.column", label.column) for name, label in self.other_labels.items()]
        named += [("weight", self.weight)] if self.weight else []
        named += [("ignore", name) for name in self.ignore]
        named += [("columns", name) for name in self.columns]
        named += [("features", name) for name in self.features]
        reported = set()
        for key, name in [*named, *self._kept_columns()]:
            if name not in columns and name not in reported:
                reported.add(name)
                yield (
                    f"{key}: expected a column of the data ({listing(columns)}), "
                    f"received {name!r}{nearest(name, columns)}"
                )

    def _kept_columns(self) -> list[tuple[str, str]]:
        """Columns that examples hold whether they are features or not, each with the key that asks for it."""
        kept = [(f"slices[{index}]", name) for index, names in enumerate(self.slices) for name in names]
        if self.ranking:
            kept += [("ranking.group", self.ranking.group), ("ranking.item", self.ranking.item)]
            kept += [("ranking.item_columns", name) for name in self.ranking.item_columns]
            kept += [("ranking.title", self.ranking.title)] if self.ranking.title else []
        if isinstance(self.splits, TimeSplits):
            kept.append(("splits.column", self.splits.column))
        if isinstance(self.splits, RandomSplits) and self.splits.key:
            kept.append(("splits.key", self.splits.key))
        return kept

    def _completed_features(self, columns: Mapping[str, ColumnType]) -> tuple[dict[str, AnyFeature], list[str]]:
        """The features, those of unnamed columns included; and what is wrong with the latter."""
        features: dict[str, AnyFeature] = dict(self.features)
        problems = []
        taken = {*(label.column for label in self.labels.values()), self.weight, *self.ignore, *features}
        if isinstance(self.splits, TimeSplits):
            taken.add(self.splits.column)
        names = {self.ranking.group, self.ranking.item} if self.ranking else set()
        if self.ranking and self.ranking.title not in names:
            taken.add(self.ranking.title)
        for name, kind in columns.items():
            if name not in taken and not name.startswith("_"):
                try:
                    is_name = name in names and kind == "integer"
                    features[name] = Categorical() if is_name else default_feature(name, kind)
                except ValueError as error:
                    problems.append(f"features.{name}: {error}")
        if not features and not problems:
            problems.append("features: expected at least one column that is not the label or ignored")
        return features, problems

    def _unfit_uses(self) -> Iterator[str]:
        for index, cross in enumerate(self.crosses):
            for name in cross.columns:
                feature = self.features.get(name)
                key = f"crosses[{index}].columns"
                if feature is None:
                    yield (
                        f"{key}: expected features ({listing(self.features)}), "
                        f"received {name!r}{nearest(name, self.features)}"
                    )
                elif isinstance(feature, Numeric) and feature.buckets is None:
                    yield f"{key}: expected a numeric feature with 'buckets' to cross by, received {name!r} without"
        for index, names in enumerate(self.slices):
            for name in names:
                if self.columns[name] in ("float", "floats"):
                    yield f"slices[{index}]: expected columns of strings or integers, received numbers in {name!r}"
        if isinstance(self.splits, TimeSplits) and self.columns[self.splits.column] not in ("integer", "float"):
            yield (
                "splits.column: expected a column of numbers or times, "
                f"received {self.columns[self.splits.column]} in {self.splits.column!r}"
            )


def _refuse(path: Path | str, problems: Iterable[str]) -> None:
    if lines := [f"{path}: {problem}" for problem in problems]:
        raise SpecError("\n".join(lines))


def load(path: Path) -> FeatureSpec:
    """Reads a `features.yaml`.

    Raises:
        SpecError: with one line per mistake, naming file, key, what was expected and what was received.
    """
    content = read_yaml(path)
    folder = path.resolve().parent.name
    stripped = "".join(letter for letter in folder if letter not in _NOT_IN_NAMES).lstrip(".")
    name = content.get("name") or stripped
    if not name:
        raise SpecError(f"{path}: name: expected one, since the folder's cannot be it, received none")
    try:
        return FeatureSpec.model_validate({**content, "name": name})
    except ValidationError as error:
        raise SpecError("\n".join(f"{path}: {line}" for line in explain(error, FeatureSpec))) from None
