"""The feature language: the role of each column of a dataset, and how the model sees it.

A dataset's `features.yaml` is read into a `FeatureSpec`. All other keys have defaults, so the shortest spec is a
label::

    label: clicked

`FeatureSpec.resolve` completes a spec from the columns of the files: every column that it does not name becomes the
feature that fits its type. A resolved spec is all that the pipeline needs to know about a dataset. Components pass it
on as JSON.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from pydantic import ValidationError, field_validator, model_validator

from schema.errors import SpecError, listing, nearest
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
    Side,
    Vocabulary,
    default_feature,
    embedding_width,
    is_id,
)
from schema.mistakes import mistakes_of, read_yaml
from schema.names import is_fit
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
    "Side",
    "Source",
    "Split",
    "Splits",
    "TimeSplits",
    "Vocabulary",
    "embedding_width",
    "load",
]

LABEL = "_label"
"""Name of the label in examples, float32: 0 or 1, the index of a class, or a number. Names with a leading underscore
are Rankline's own."""
WEIGHT = "_weight"
"""Name of the example weight in examples, float32, if the spec names a weight."""

_WHOLE: Mapping[ColumnType, ColumnType] = {"float": "integer", "floats": "integers"}

_NOT_IN_NAMES = "/\\*?[]"


class FeatureSpec(Described):
    """A dataset's description, as in its `features.yaml`."""

    name: str = ""
    """The name of the dataset, in the runs' folder and on the server. By default it is the folder's name."""
    description: str = ""
    """A line about the dataset, for `rankline datasets`."""
    source: Source = Source()
    """The files of the dataset, and how to read them."""
    label: Label
    """The label: a column's name, or a mapping. `label: clicked` is short for `label: {column: clicked}`."""
    other_labels: Mapping[str, Label] = {}
    """Further labels of the same rows, by name, such as a purchase beside a click. Rows may lack these."""
    weight: str | None = None
    """The column with the rows' weights, which are at least 0."""
    ignore: tuple[str, ...] = ()
    """The columns that are not features."""
    columns: Mapping[str, ColumnType] = {}
    """The types of columns whose files leave them open or show another one, such as a zip code that is a string. In a
    resolved spec: the types of all columns that examples hold."""
    times: tuple[str, ...] = ()
    """The columns of dates and times, which become seconds since 1970 in UTC. Columns that the files themselves show to
    hold times need not be listed. In a resolved spec: all such columns."""
    by_default: tuple[str, ...] = ()
    """The features that the description does not mention. Only a resolved spec has this key."""
    ranking: Ranking | None = None
    """The lists to rank. Without this key the model only gives scores."""
    splits: Splits = RandomSplits()
    """The rule that splits rows into train, eval and test. By default it is `by: random`, and `by: given` where
    `source.files` names the files of each split."""
    features: Mapping[str, Feature] = {}
    """The features, by column: `age: numeric` is short for `age: {type: numeric}`, and `city:` for
    `city: {type: categorical}`. Columns that are not named become features by their type."""
    crosses: tuple[Cross, ...] = ()
    """The crosses of features."""
    slices: tuple[tuple[str, ...], ...] = ()
    """The columns, or lists of columns, by whose values the evaluation is broken down."""

    @model_validator(mode="before")
    @classmethod
    def _splits_of_files(cls, value: object) -> object:
        """Defaults to `by: given` if the spec gives files per split."""
        if isinstance(value, Mapping) and "splits" not in value:
            source = value.get("source")
            if isinstance(source, Mapping) and isinstance(source.get("files"), Mapping):
                return {**value, "splits": {"by": "given"}}
        return value

    @field_validator("name")
    @classmethod
    def _folder_name(cls, value: str) -> str:
        """Refuses names that cannot be folders, or that TFX would read as patterns of files."""
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
        return {name: cls._label_column(label) for name, label in value.items()}

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
            return [[entry] if isinstance(entry, str | int | float) else entry for entry in value]
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
            *self._label_mistakes(), *self._unfit_names(), *self._name_clashes(), *self._own_names(),
            *self._clashing_roles(), *self._sharing_mistakes(),
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

    def _unfit_names(self) -> Iterator[str]:
        crosses = [(f"crosses[{index}].name", cross.name) for index, cross in enumerate(self.crosses)]
        first: dict[str, str] = {}
        for key, name in [*self._used_columns(), *crosses]:
            first.setdefault(name, key)
        for name, key in first.items():
            if not is_fit(name):
                advice = "rename it, or add the column to 'ignore'" if key == "features" else "rename it"
                yield f"{key}: expected a name of one line without control characters, received {name!r}; {advice}"

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
            seen.add(name)

    def _own_names(self) -> Iterator[str]:
        names = [("features", name) for name in self.features]
        names += [(f"crosses[{index}].name", cross.name) for index, cross in enumerate(self.crosses)]
        for key, name in [*names, *self._kept_columns()]:
            if name.startswith("_"):
                yield (
                    f"{key}: expected no leading underscore, which marks Rankline's own names, received {name!r}; "
                    "rename the column"
                )

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

    # The following members are for resolved specs.

    @property
    def labels(self) -> dict[str, Label]:
        """The labels by their names in examples; the first is `LABEL`."""
        return {LABEL: self.label, **{f"{LABEL}_{name}": label for name, label in self.other_labels.items()}}

    @property
    def input_columns(self) -> dict[str, ColumnType]:
        """The raw columns that are the model's inputs, in a fixed order."""
        return {name: self.columns[name] for name in self.features}

    def side(self, name: str) -> Side:
        """What a feature, or a cross, of a ranking describes; `pair` for all of a dataset that ranks nothing."""
        if self.ranking is None:
            return "pair"
        crossed = next((cross.columns for cross in self.crosses if cross.name == name), (name,))
        of_items = {self.ranking.item, *self.ranking.item_columns}
        sides: set[Side] = {"item" if column in of_items else "context" for column in crossed}
        return sides.pop() if len(sides) == 1 else "pair"

    def base_name(self, name: str) -> str:
        """The feature whose vocabulary and embedding the categorical or multi-valent feature `name` uses."""
        feature = self.features[name]
        assert not isinstance(feature, Numeric), f"{name} is numeric"
        return feature.shares or name

    def base(self, name: str) -> Categorical | Multivalent:
        """The feature called `base_name(name)`."""
        feature = self.features[self.base_name(name)]
        assert not isinstance(feature, Numeric), f"{name} shares a numeric feature"
        return feature

    def is_multivalent(self, cross: Cross) -> bool:
        """Whether the cross can have a number of tokens per row other than one."""
        return any(isinstance(self.features[column], Multivalent) for column in cross.columns)

    def resolve(
        self,
        columns: Mapping[str, ColumnType],
        path: Path | str = "features.yaml",
        *,
        times: Collection[str] = (),
        whole: Collection[str] = (),
        unused: Collection[str] = (),
    ) -> FeatureSpec:
        """Completes the spec from the columns of the files and checks it against them.

        Args:
            columns: the name and type of each column, as found in the files.
            path: the path of the spec, for error messages.
            times: the columns that hold dates and times.
            whole: the columns of floats that hold only whole numbers.
            unused: the columns that are left out because not all files have them.

        Returns:
            A spec with a feature for every column that is not used otherwise or ignored, and with the type of
            every column that examples hold.

        Raises:
            SpecError: a name is not a column, or a feature does not fit its column's type.
        """
        _refuse(path, self._unknown_columns(columns))
        columns = {**columns, **{name: _WHOLE[columns[name]] for name in self._names_in(columns, whole)}}
        columns |= dict.fromkeys(self.times, "integer")
        columns |= self.columns
        if isinstance(self.splits, TimeSplits) and columns[self.splits.column] == "string":
            # Declared as a time, so that the reader names the first value that is not one.
            times = {*times, self.splits.column}
            columns[self.splits.column] = "integer"
        ignore = (*self.ignore, *unused, *(name for name in columns if self._is_taken_for_ours(name)))
        features, problems = self._completed_features(columns, ignore)
        by_default = (*self.by_default, *(name for name in features if name not in self.features))
        _refuse(path, problems)

        types: dict[str, ColumnType] = {}
        for name, feature in features.items():
            try:
                kind = columns[name]
                # Declared as numeric, so that the reader names the first value that is not a number.
                types[name] = feature.kept_as("float" if isinstance(feature, Numeric) and kind == "string" else kind)
            except ValueError as error:
                problems.append(f"features.{name}: {error}")
        for _, name in self._kept_columns():
            types.setdefault(name, columns[name])
        numbers = [name for name, kind in types.items() if not kind.startswith("string")]
        held = tuple(name for name in numbers if name in {*self.times, *times})
        resolved = self.model_copy(
            update={"features": features, "columns": types, "times": held, "ignore": ignore, "by_default": by_default}
        )
        _refuse(path, [*problems, *resolved._unfit_names(), *resolved._name_clashes(), *resolved._unfit_uses()])
        return resolved

    def _unknown_columns(self, columns: Mapping[str, ColumnType]) -> Iterator[str]:
        named = [*(("ignore", name) for name in self.ignore), *(("columns", name) for name in self.columns)]
        named += [("times", name) for name in self.times]
        reported = set()
        for key, name in [*self._used_columns(), *named]:
            if name not in columns and name not in reported:
                reported.add(name)
                yield (
                    f"{key}: expected a column of the data ({listing(columns)}), "
                    f"received {name!r}{nearest(name, columns)}"
                )

    def _used_columns(self) -> list[tuple[str, str]]:
        """Columns that training or evaluation uses, each with the key that names it."""
        used = [("label.column", self.label.column)]
        used += [(f"other_labels.{name}.column", label.column) for name, label in self.other_labels.items()]
        used += [("weight", self.weight)] if self.weight else []
        used += [("features", name) for name in self.features]
        return [*used, *self._kept_columns()]

    def _kept_columns(self) -> list[tuple[str, str]]:
        """Columns that examples hold even if they are not features, each with the key that names it."""
        kept = [(f"slices[{index}]", name) for index, names in enumerate(self.slices) for name in names]
        if self.ranking:
            kept += [("ranking.group", self.ranking.group), ("ranking.item", self.ranking.item)]
            kept += [("ranking.item_columns", name) for name in self.ranking.item_columns]
            kept += [("ranking.title", self.ranking.title)] if self.ranking.title else []
        if isinstance(self.splits, TimeSplits):
            kept.append(("splits.column", self.splits.column))
        else:
            kept += [("splits.key", name) for name in self.splits.key]
        return kept

    def named_columns(self) -> set[str]:
        """All columns that the description names."""
        crossed = [name for cross in self.crosses for name in cross.columns]
        return {*(name for _, name in self._used_columns()), *crossed, *self.ignore, *self.columns, *self.times}

    def _names_in(self, columns: Mapping[str, ColumnType], whole: Collection[str]) -> list[str]:
        """Columns of floats that hold whole numbers which are names, not quantities."""
        used = self._used_as_names()
        return [
            name
            for name in whole
            if columns.get(name) in _WHOLE
            and not isinstance(self.features.get(name), Numeric)
            and (name in self.features or name in used or is_id(name))
        ]

    def _used_as_names(self) -> set[str]:
        """Columns whose values are names because of their use in the spec, whatever the columns are called."""
        ranked = {self.ranking.group, self.ranking.item} if self.ranking else set()
        shared = {feature.shares for feature in self.features.values() if not isinstance(feature, Numeric)}
        crossed = {name for cross in self.crosses for name in cross.columns}
        sliced = {name for names in self.slices for name in names}
        return {*ranked, *(name for name in shared if name), *crossed, *sliced}

    def _is_taken_for_ours(self, name: str) -> bool:
        """Whether a column that the description does not name has a leading underscore, as Rankline's own names do."""
        return name.startswith("_") and name not in self.named_columns()

    def _completed_features(
        self, columns: Mapping[str, ColumnType], ignore: Collection[str]
    ) -> tuple[dict[str, AnyFeature], list[str]]:
        """The features, including those of unnamed columns, and the problems with the unnamed ones."""
        features: dict[str, AnyFeature] = dict(self.features)
        problems = []
        taken = {*(label.column for label in self.labels.values()), self.weight, *ignore, *features}
        if isinstance(self.splits, TimeSplits):
            taken.add(self.splits.column)
        names = self._used_as_names()
        if self.ranking and self.ranking.title not in {self.ranking.group, self.ranking.item}:
            taken.add(self.ranking.title)
        for name, kind in columns.items():
            if name not in taken and not name.startswith("_"):
                try:
                    features[name] = default_feature(name, kind, is_name=name in names)
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
        if self.ranking:
            for key, name in (("group", self.ranking.group), ("item", self.ranking.item)):
                kind = self.columns[name]
                if kind not in ("string", "integer") and (kind.endswith("s") or name in self.by_default):
                    received = "decimals" if kind == "float" else f"lists ({kind})"
                    yield (
                        f"ranking.{key}: expected a column of texts or whole numbers, received {received} in {name!r}; "
                        f"say columns: {{{name}: string}} if its values are names"
                    )
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
        SpecError: the file has mistakes. The message has a line for each, with the file, the key, what was expected
            and what was received.
    """
    content = read_yaml(path)
    folder = path.resolve().parent.name
    stripped = "".join(letter for letter in folder if letter not in _NOT_IN_NAMES).lstrip(".")
    name = content.get("name") or stripped
    if not name:
        raise SpecError(f"{path}: name: expected a name, since the folder's cannot be used, received none")
    try:
        return FeatureSpec.model_validate({**content, "name": name})
    except ValidationError as error:
        raise SpecError("\n".join(f"{path}: {line}" for line in mistakes_of(error, FeatureSpec))) from None
