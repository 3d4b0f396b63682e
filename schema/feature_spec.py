"""The feature language: what each column of a dataset is, and what the model gets to see of it.

A dataset's `features.yaml` is read into a `FeatureSpec`. Everything has a default, so that the shortest
spec is a label and nothing else::

    label: clicked

`FeatureSpec.resolve` completes such a spec from the columns of the files: every column that is not
named gets the feature that fits its type. A resolved spec is all that the pipeline needs to know about
a dataset; it travels between components as JSON.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from schema.errors import SpecError, listing, nearest

SPLITS = ("train", "eval", "test")
"""Train the model, stop its training early, judge it: each row is in exactly one of these."""

LABEL = "_label"
"""Name of the label (float32, 0 or 1) in examples; names with a leading underscore are Rankline's own."""
WEIGHT = "_weight"
"""Name of the example weight (float32) in examples, where the spec names one."""

ColumnType = Literal["string", "integer", "float", "strings", "integers", "floats"]
"""What a raw column holds; the plural is a list of any length per row."""

MISSING: Mapping[str, str | int | float] = {"string": "", "integer": -(2**63), "float": math.nan}
"""The value that stands for a missing one, in tensors that have no room for absence."""

Part = Literal["wide", "deep"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    def _changed(self, *names: str) -> list[str]:
        """Those of the fields that differ from their default."""
        fields = type(self).model_fields
        return [name for name in names if getattr(self, name) != fields[name].default]


class Vocabulary(_Model):
    """The tokens that get an id of their own, the most frequent first."""

    min_count: PositiveInt = 1
    """Tokens seen less often in the train split are out of vocabulary."""
    top_k: PositiveInt | None = None
    """Keep only so many of the most frequent tokens."""


class _Ids(_Model):
    """What categorical features, multi-valent ones and crosses share: tokens that become ids."""

    vocabulary: Vocabulary = Vocabulary()
    hash_buckets: Annotated[int, Field(ge=2)] | None = None
    """Hash tokens into so many ids instead of keeping a vocabulary."""
    oov_buckets: PositiveInt = 1
    """Ids for tokens out of vocabulary, which are hashed among them."""
    embedding: PositiveInt | None = None
    """Width of the embedding; none: 6 · size^¼ (Deep & Cross Network, section 2.1), see `embedding_width`."""

    @model_validator(mode="after")
    def _hash_or_vocabulary(self) -> Self:
        if self.hash_buckets is not None:
            given = self._changed("vocabulary", "oov_buckets")
            if given:
                raise ValueError(
                    f"expected hash_buckets or a vocabulary, received hash_buckets and {listing(given)}"
                )
        return self


class _Feature(_Model):
    max_missing: Annotated[float, Field(ge=0, le=1)] = 0.95
    """Refuse data in which a larger share of the train split's rows lacks this column."""
    parts: tuple[Part, ...] = ("wide", "deep")
    """Which parts of a Wide & Deep model see this feature."""


class Categorical(_Ids, _Feature):
    """One token per row: a string, or an integer that is a name and not a quantity."""

    type: Literal["categorical"] = "categorical"
    shares: str | None = None
    """Use that feature's vocabulary (counted over both) and embedding table."""


class Multivalent(_Ids, _Feature):
    """Any number of tokens per row: a list column, or a string with a separator in it."""

    type: Literal["multivalent"] = "multivalent"
    separator: Annotated[str, Field(min_length=1)] | None = None
    """Split strings at this; none: the column holds lists."""
    combiner: Literal["mean", "sum", "sqrtn"] = "mean"
    """How the embeddings of a row's tokens become one."""
    shares: str | None = None
    """Use that feature's vocabulary (counted over both) and embedding table."""


class Numeric(_Feature):
    """A quantity. The deep part sees it scaled, the wide part its bucket (or, without buckets, also scaled)."""

    type: Literal["numeric"] = "numeric"
    log1p: bool = False
    """Take sign(x) · ln(1 + |x|) first: for counts and amounts with a long tail."""
    scale: Literal["z_score", "min_max", "none"] = "z_score"
    buckets: Annotated[int, Field(ge=2)] | None = None
    """Also cut the values into so many buckets of equal count; missing values get one more."""
    missing_indicator: bool = False
    """Add an input that is 1 where the value is missing (its scaled value is 0 there)."""


Feature = Annotated[Categorical | Multivalent | Numeric, Field(discriminator="type")]


class Cross(_Ids):
    """The co-occurrence of two or more columns as one token: what the wide part memorises.

    Multi-valent columns give one token per combination of their values; numeric ones are crossed by bucket.
    """

    columns: Annotated[tuple[str, ...], Field(min_length=2)]
    name: str = ""
    combiner: Literal["mean", "sum", "sqrtn"] = "sum"
    parts: tuple[Part, ...] = ("wide",)

    @model_validator(mode="before")
    @classmethod
    def _default_name(cls, value: Any) -> Any:
        if (
            isinstance(value, Mapping)
            and not value.get("name")
            and isinstance(value.get("columns"), Sequence)
        ):
            return {**value, "name": "_x_".join(map(str, value["columns"]))}
        return value


_RULE = re.compile(r"\s*(>=|<=|==|!=|>|<)\s*(.+?)\s*")


class Label(_Model):
    """What is to be predicted: `column` itself where it holds 0 and 1, else whether `positive` holds of it."""

    column: str
    positive: str | tuple[str | int | float, ...] | None = None
    """A rule such as `>= 4` or `== yes`, or the list of values that count as positive."""

    @field_validator("positive")
    @classmethod
    def _is_rule(cls, value: object) -> object:
        if isinstance(value, str) and not _RULE.fullmatch(value):
            raise ValueError("expected a rule such as '>= 4' or '== yes', or a list of values")
        return value

    @property
    def rule(self) -> tuple[str, str] | None:
        """The comparison and its right-hand side, or none where `positive` is not a rule."""
        match = _RULE.fullmatch(self.positive) if isinstance(self.positive, str) else None
        return (match[1], match[2]) if match else None


class Ranking(_Model):
    """Who is shown what: a ranked list is judged, and asked for, per `group`."""

    group: str
    """The column that names the list: a user, a query, a session."""
    item: str
    """The column that names the candidate."""
    item_columns: tuple[str, ...] = ()
    """Columns that describe the item; all others describe the group or the moment."""
    title: str | None = None
    """An item column to show to people."""


Fractions = Mapping[Literal["train", "eval", "test"], Annotated[float, Field(gt=0, lt=1)]]
_FRACTIONS: Fractions = {"train": 0.8, "eval": 0.1, "test": 0.1}


class _BySplit(_Model):
    fractions: Fractions = _FRACTIONS

    @field_validator("fractions")
    @classmethod
    def _sum_to_one(cls, value: Fractions) -> Fractions:
        if set(value) != set(SPLITS) or not math.isclose(sum(value.values()), 1):
            raise ValueError("expected fractions of train, eval and test that add up to 1")
        return value


class RandomSplits(_BySplit):
    """By a hash: the same row is in the same split in every run."""

    by: Literal["random"] = "random"
    key: str | None = None
    """Rows with the same value of this column stay together; none: each row for itself."""


class TimeSplits(_BySplit):
    """By time: the model is judged on rows later than all it was trained on. Equal times stay together."""

    by: Literal["time"]
    column: str
    boundaries: tuple[float, float] | None = None
    """Where eval and where test begin (inclusive), instead of fractions."""

    @field_validator("boundaries")
    @classmethod
    def _ascending(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value and value[0] >= value[1]:
            raise ValueError("expected the beginning of eval before the beginning of test")
        return value


class GivenSplits(_Model):
    """By file: `source.files` names the files of each split."""

    by: Literal["given"]
    eval_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Where no eval files are given, so much of the train rows becomes the eval split, by a hash of the row."""


Splits = Annotated[RandomSplits | TimeSplits | GivenSplits, Field(discriminator="by")]


class Source(_Model):
    """Where rows come from. Paths are relative to the dataset's folder."""

    files: str | Mapping[Literal["train", "eval", "test"], str] = ""
    """A file, a folder or a glob; or one of these for each split."""
    format: Literal["csv", "parquet", "tfrecord"] | None = None
    """None: told by the file names' ending."""
    fetch: str | None = None
    """A Python file whose `fetch(folder: Path) -> None` puts the files into a cache folder, to which `files`
    is then relative."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    header: bool = True
    column_names: tuple[str, ...] = ()
    """The columns of a CSV file without a header."""
    null_values: tuple[str, ...] = ("", "NA", "N/A", "NaN", "nan", "NULL", "null")
    """What a missing value looks like in a CSV file."""


class FeatureSpec(_Model):
    """A dataset's description. See the module's docstring; `docs` of each field are theirs."""

    name: str = ""
    description: str = ""
    source: Source = Source()
    label: Label
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

    @field_validator("label", mode="before")
    @classmethod
    def _label_column(cls, value: object) -> object:
        return {"column": value} if isinstance(value, str) else value

    @field_validator("splits", mode="before")
    @classmethod
    def _splits_by(cls, value: object) -> object:
        if isinstance(value, Mapping) and "by" not in value:
            return {**value, "by": "random"}
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
        """Lets `age: numeric` and `age: {}` stand for `age: {type: numeric}` and `age: {type: categorical}`."""
        if not isinstance(value, Mapping):
            return value
        return {
            name: {"type": feature}
            if isinstance(feature, str)
            else {"type": "categorical", **(feature or {})}
            if feature is None or isinstance(feature, Mapping)
            else feature
            for name, feature in value.items()
        }

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [*self.features, *(cross.name for cross in self.crosses)]
        names += [
            f"{name}_bucket" for name, f in self.features.items() if isinstance(f, Numeric) and f.buckets
        ]
        names += [
            f"{name}_missing"
            for name, f in self.features.items()
            if isinstance(f, Numeric) and f.missing_indicator
        ]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"crosses: expected names that differ, received {name!r} twice")
            if name.startswith("_"):
                raise ValueError(
                    f"{name}: names with a leading underscore are Rankline's own; rename the column"
                )
        if self.label.column in self.features:
            raise ValueError(f"features.{self.label.column}: the label cannot be a feature")
        for name in self.ignore:
            if name in self.features:
                raise ValueError(f"ignore: {name!r} is also a feature; expected one or the other")
        for name, feature in self.features.items():
            self._check_sharing(name, feature)
        if isinstance(self.source.files, Mapping) and self.splits.by != "given":
            if self._changed("splits"):
                raise ValueError(
                    f"splits.by: expected 'given' with files per split, received {self.splits.by!r}"
                )
            object.__setattr__(self, "splits", GivenSplits(by="given"))
        if isinstance(self.source.files, Mapping) and not {"train", "test"} <= set(self.source.files):
            raise ValueError(
                f"source.files: expected at least train and test, received {listing(self.source.files)}"
            )
        if self.splits.by == "given" and isinstance(self.source.files, str):
            raise ValueError(
                "source.files: expected files per split (train, test and perhaps eval), received one path"
            )
        return self

    def _check_sharing(self, name: str, feature: Categorical | Multivalent | Numeric) -> None:
        if isinstance(feature, Numeric) or feature.shares is None:
            return
        own = feature._changed("vocabulary", "hash_buckets", "oov_buckets", "embedding")
        if own:
            raise ValueError(
                f"features.{name}: expected 'shares' alone, since {feature.shares!r} decides the rest; "
                f"received also {listing(own)}"
            )
        base = self.features.get(feature.shares)
        if base is None:
            raise ValueError(
                f"features.{name}.shares: expected another feature, received "
                f"{feature.shares!r}{nearest(feature.shares, self.features)}"
            )
        if isinstance(base, Numeric) or base.shares is not None or feature.shares == name:
            raise ValueError(
                f"features.{name}.shares: expected a categorical or multi-valent feature with a vocabulary of its "
                f"own, received {feature.shares!r}"
            )

    # What the rest of Rankline asks of a resolved spec.

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
        columns = {**columns, **{name: kind for name, kind in self.columns.items() if name in columns}}

        def known(key: str, name: str) -> None:
            if name not in columns:
                raise SpecError(
                    f"{path}: {key}: expected a column of the data ({listing(columns)}), "
                    f"received {name!r}{nearest(name, columns)}"
                )

        for key, name in self._named_columns():
            known(key, name)

        features: dict[str, Categorical | Multivalent | Numeric] = dict(self.features)
        taken = {self.label.column, self.weight, *self.ignore, *features}
        if isinstance(self.splits, TimeSplits):
            taken.add(self.splits.column)
        if self.ranking and self.ranking.title:
            taken.add(self.ranking.title)
        for name, kind in columns.items():
            if name not in taken and not name.startswith("_"):
                features[name] = _default_feature(name, kind)
        if not features:
            raise SpecError(
                f"{path}: features: expected at least one column that is not the label or ignored"
            )

        types = {
            name: _fit(f"{path}: features.{name}", feature, columns[name])
            for name, feature in features.items()
        }
        kept = (
            {name for _, name in self._named_columns()} - set(self.ignore) - {self.label.column, self.weight}
        )
        types.update({name: columns[name] for name in columns if name in kept and name not in types})

        for cross in self.crosses:
            for column in cross.columns:
                key = f"{path}: crosses.{cross.name}.columns"
                if column not in features:
                    raise SpecError(
                        f"{key}: expected features ({listing(features)}), "
                        f"received {column!r}{nearest(column, features)}"
                    )
                feature = features[column]
                if isinstance(feature, Numeric) and feature.buckets is None:
                    raise SpecError(
                        f"{key}: expected a numeric feature with 'buckets' to cross by, received {column!r} without"
                    )
        return self.model_copy(update={"features": features, "columns": types})

    def _named_columns(self) -> list[tuple[str, str]]:
        """Every column that the spec names, with the key where it does."""
        named = [("label.column", self.label.column)]
        named += [("weight", self.weight)] if self.weight else []
        named += [("ignore", name) for name in self.ignore]
        named += [("columns", name) for name in self.columns]
        named += [(f"features.{name}", name) for name in self.features]
        named += [("slices", name) for columns in self.slices for name in columns]
        if self.ranking:
            named += [("ranking.group", self.ranking.group), ("ranking.item", self.ranking.item)]
            named += [("ranking.item_columns", name) for name in self.ranking.item_columns]
            named += [("ranking.title", self.ranking.title)] if self.ranking.title else []
        if isinstance(self.splits, TimeSplits):
            named.append(("splits.column", self.splits.column))
        if isinstance(self.splits, RandomSplits) and self.splits.key:
            named.append(("splits.key", self.splits.key))
        return named


def embedding_width(size: int, given: int | None) -> int:
    """The width of an embedding for `size` ids: the given one, else a rule.

    The rule is 6 · size^¼ (Wang et al., Deep & Cross Network for Ad Click Predictions, section 2.1), rounded up to
    a multiple of 4 so that features share few fused tables.
    """
    return given if given is not None else 4 * math.ceil(6 * size**0.25 / 4)


def _default_feature(name: str, kind: ColumnType) -> Categorical | Multivalent | Numeric:
    if kind in ("strings", "integers"):
        return Multivalent()
    if kind == "string" or (kind == "integer" and (name == "id" or name.lower().endswith(("_id", "id_")))):
        return Categorical()
    return Numeric()


def _fit(key: str, feature: Categorical | Multivalent | Numeric, kind: ColumnType) -> ColumnType:
    """The type in which a feature's column is kept in examples."""
    if isinstance(feature, Numeric):
        if kind not in ("integer", "float"):
            raise SpecError(f"{key}: expected numbers in a numeric feature's column, received {kind}")
        return "float"
    if isinstance(feature, Multivalent):
        if feature.separator is not None:
            if kind not in ("string", "strings"):
                raise SpecError(f"{key}.separator: expected a column of strings to split, received {kind}")
            return "strings"
        if kind not in ("strings", "integers"):
            raise SpecError(
                f"{key}: expected lists of strings or integers in a multi-valent feature's column, received {kind}; "
                "for strings with several tokens in them say 'separator'"
            )
        return kind
    if kind not in ("string", "integer"):
        raise SpecError(
            f"{key}: expected strings or integers in a categorical feature's column, received {kind}"
        )
    return kind


def load(path: Path) -> FeatureSpec:
    """Reads a `features.yaml`.

    Raises:
        SpecError: naming file, key, what was expected and what was received.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)  # noqa: S506 (a SafeLoader)
    except FileNotFoundError:
        raise SpecError(f"{path}: expected a feature spec, found no such file") from None
    except UnicodeDecodeError:
        raise SpecError(f"{path}: expected UTF-8 text") from None
    except yaml.YAMLError as error:
        raise SpecError(f"{path}: expected YAML: {error}") from None
    if not isinstance(content, Mapping):
        raise SpecError(f"{path}: expected keys and values ('label: clicked' at least), received {content!r}")
    try:
        return FeatureSpec.model_validate({"name": path.parent.name, **content})
    except ValidationError as error:
        raise SpecError(f"{path}: {_explain(error)}") from None


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML silently keeps the last of two equal keys; a feature given twice is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)  # type: ignore[no-untyped-call]
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"expected each key once, received {key!r} twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_KEYS_OF: Mapping[str, type[BaseModel]] = {
    "": FeatureSpec,
    "source": Source,
    "label": Label,
    "ranking": Ranking,
    "vocabulary": Vocabulary,
    "categorical": Categorical,
    "multivalent": Multivalent,
    "numeric": Numeric,
    "crosses": Cross,
    "random": RandomSplits,
    "time": TimeSplits,
    "given": GivenSplits,
}


def _explain(error: ValidationError) -> str:
    """The first mistake as `key: expected …, received …`."""
    mistake = error.errors()[0]
    # Tags of unions and the types that pydantic tried are no keys of the file.
    location = [
        part
        for part in mistake["loc"]
        if part not in _KEYS_OF or part in FeatureSpec.model_fields or part == "vocabulary"
    ]
    key = ".".join(str(part) for part in location)
    if mistake["type"] == "extra_forbidden":
        owner = next((part for part in reversed(mistake["loc"][:-1]) if part in _KEYS_OF), "")
        fields = list(_KEYS_OF[str(owner)].model_fields)
        unknown = str(mistake["loc"][-1])
        return f"{key}: expected one of the keys {listing(fields, 20)}, received {unknown!r}{nearest(unknown, fields)}"
    if mistake["type"] == "missing":
        return f"{key}: expected this key, received none"
    text = mistake["msg"].removeprefix("Value error, ")
    if mistake["type"] == "value_error" and not location:
        return text
    received = mistake["input"]
    text = text[0].lower() + text[1:]
    if mistake["type"] != "value_error":
        text = f"expected: {text}"
    hint = nearest(
        str(received),
        str(mistake.get("ctx", {}).get("expected_tags", "") or mistake.get("ctx", {}).get("expected", ""))
        .replace("'", "")
        .replace(" or ", ", ")
        .split(", "),
    )
    return f"{key}: {text}, received {received!r}{hint}"
