"""The types of features, and crosses of features."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from schema.errors import listing

ColumnType = Literal["string", "integer", "float", "strings", "integers", "floats"]
"""The type of a raw column. A plural means a list of any length in each row."""

MISSING: Mapping[str, str | int | float] = {"string": "", "integer": -(2**63), "float": math.nan}
"""The value that stands for a missing one in tensors, which cannot hold null."""

QUANTILE_ERROR = 0.001
"""The largest error of the size of a bucket, as a share of that size."""

Part = Literal["wide", "deep"]
Side = Literal["context", "item", "pair"]
"""What a column describes in rankings: what is ranked for, a candidate, or both together, as a cross may."""
Parts = Annotated[tuple[Part, ...], Field(min_length=1)]
Combiner = Literal["mean", "sum", "sqrtn"]


class Described(BaseModel):
    """A part of a description. Unknown keys are errors, and instances are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def changed(self, *names: str) -> list[str]:
        """The named fields that differ from their defaults."""
        fields = type(self).model_fields
        return [name for name in names if getattr(self, name) != fields[name].default]


class Vocabulary(Described):
    """The tokens that get an id of their own, the most frequent first."""

    min_count: PositiveInt = 1
    """The smallest count of a token in the train split; rarer tokens are out of vocabulary."""
    top_k: PositiveInt | None = None
    """The size of the vocabulary: only the most frequent tokens are kept. By default all are."""


class _Ids(Described):
    """Common keys of categorical features, multi-valent features and crosses, whose tokens become ids."""

    vocabulary: Vocabulary = Vocabulary()
    """The tokens that get an id of their own."""
    hash_buckets: Annotated[int, Field(ge=2)] | None = None
    """The number of ids that tokens are hashed into, in place of a vocabulary."""
    oov_buckets: PositiveInt = 1
    """The number of ids that tokens out of vocabulary share by hash."""
    embedding: PositiveInt | None = None
    """The width of the embedding. By default it is 6 · ids^¼ (Deep & Cross Network, section 2.1), rounded up to a
    multiple of 4."""

    @model_validator(mode="after")
    def _hash_or_vocabulary(self) -> Self:
        if self.hash_buckets is not None and (given := self.changed("vocabulary", "oov_buckets")):
            raise ValueError(f"expected hash_buckets or a vocabulary, received hash_buckets and {listing(given)}")
        return self


class _Feature(Described):
    max_missing: Annotated[float, Field(ge=0, le=1)] = 0.95
    """The largest share of a split's rows that may lack this column; data with a larger one is refused."""
    parts: Parts = ("wide", "deep")
    """The parts of a Wide & Deep model that see this feature."""


class Categorical(_Ids, _Feature):
    """One token per row: a string, or an integer that is a name and not a quantity."""

    type: Literal["categorical"] = "categorical"
    shares: str | None = None
    """The feature whose vocabulary (counted over both) and embedding table this one shares."""

    def kept_as(self, kind: ColumnType) -> ColumnType:
        """The type that a column of this feature has in examples.

        Raises:
            ValueError: a column of this type does not fit the feature.
        """
        if kind not in ("string", "integer"):
            advice = "; for buckets of a quantity say numeric with 'buckets'" if kind == "float" else ""
            raise ValueError(
                f"expected strings or whole numbers in a categorical feature's column, received {kind}{advice}"
            )
        return kind


class Multivalent(_Ids, _Feature):
    """Any number of tokens per row: a list column, or a string with a separator in it."""

    type: Literal["multivalent"] = "multivalent"
    separator: Annotated[str, Field(min_length=1)] | None = None
    """The separator of tokens in a string. Without it the column holds lists."""
    combiner: Combiner = "mean"
    """The function that combines the embeddings of a row's tokens into one."""
    shares: str | None = None
    """The feature whose vocabulary (counted over both) and embedding table this one shares."""

    def kept_as(self, kind: ColumnType) -> ColumnType:
        """The type that a column of this feature has in examples.

        Raises:
            ValueError: a column of this type does not fit the feature.
        """
        if self.separator is not None:
            if kind not in ("string", "strings"):
                raise ValueError(f"expected a column of strings to split at the separator, received {kind}")
            return "strings"
        if kind not in ("strings", "integers"):
            raise ValueError(
                f"expected lists of strings or integers in a multi-valent feature's column, received {kind}; "
                "for strings with several tokens in them say 'separator'"
            )
        return kind


class Numeric(_Feature):
    """A quantity. The deep part sees it scaled, the wide part its bucket (or, without buckets, also scaled)."""

    type: Literal["numeric"] = "numeric"
    log1p: bool = False
    """Whether sign(x) · ln(1 + |x|) takes the place of x, for counts and amounts with a long tail."""
    scale: Literal["z_score", "min_max", "none"] = "z_score"
    """The scaling of the values that the deep part sees."""
    buckets: Annotated[int, Field(ge=2)] | None = None
    """The number of buckets of equal count into which values are also cut, for the wide part and for crosses; missing
    values get one more."""
    missing_indicator: bool = False
    """Whether a further input is 1 where the value is missing (its scaled value is 0 there)."""

    def kept_as(self, kind: ColumnType) -> ColumnType:
        """The type that a column of this feature has in examples.

        Raises:
            ValueError: a column of this type does not fit the feature.
        """
        if kind not in ("integer", "float"):
            raise ValueError(f"expected numbers in a numeric feature's column, received {kind}")
        return "float"

    def derived(self, name: str) -> list[str]:
        """The names of the additional inputs that a numeric feature called `name` has."""
        suffixes = [("_bucket", self.buckets is not None), ("_missing", self.missing_indicator)]
        return [name + suffix for suffix, present in suffixes if present]


AnyFeature = Categorical | Multivalent | Numeric
Feature = Annotated[AnyFeature, Field(discriminator="type")]


class Cross(_Ids):
    """The co-occurrence of two or more columns as one token: what the wide part memorises.

    Multi-valent columns give one token per combination of their values; numeric ones are crossed by bucket.
    """

    columns: Annotated[tuple[str, ...], Field(min_length=2)]
    """The two or more features whose combinations become tokens."""
    name: str = ""
    """The name of the cross. By default it is the columns' names with `_x_` between them."""
    combiner: Combiner = "sum"
    """The function that combines the embeddings of a row's tokens into one."""
    parts: Parts = ("wide",)
    """The parts of a Wide & Deep model that see this cross."""

    @model_validator(mode="before")
    @classmethod
    def _default_name(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and not value.get("name"):
            columns = value.get("columns")
            if isinstance(columns, Sequence) and not isinstance(columns, str):
                return {**value, "name": "_x_".join(map(str, columns))}
        return value

    @model_validator(mode="after")
    def _of_different_columns(self) -> Self:
        for column in self.columns:
            if self.columns.count(column) > 1:
                raise ValueError(f"expected columns that differ, received {column!r} twice")
        return self


_NOUNS = "user|item|product|sku|query|movie|video|song|track|artist|album|book|article|ad|creative|advertiser|publisher"
_ID = re.compile(
    rf"(?i:(?:.*[_.-])?[gu]?u?id|{_NOUNS}|(?:.*[_.-])?(?:{_NOUNS}|session|account|customer|client|visitor|member|profile"
    r"|device|cookie|request|impression|campaign|category|brand|shop|store|seller|merchant|order|page|site|app|doc"
    r"|document|post|news|author|hotel|listing|adgroup)id"
    r"|zip|(?:zip|postal)[_.-]?code|isbn|ean|gtin|hash)|.*[a-z0-9](?:Id|ID)"
)
"""Names of columns of ids. Not every name that ends in `id` matches: `bid` and `paid` are quantities."""


def default_feature(name: str, kind: ColumnType, is_name: bool = False) -> AnyFeature:
    """The default feature of a column that the description does not name.

    Strings are categorical, and so are integers in columns that are called an id (`id`, `user_id`, `userId`, `uid`,
    `item`); other numbers are numeric.

    Args:
        name: the name of the column.
        kind: the type of the column.
        is_name: whether the description uses the column's values as names, for example as the ranking's items.

    Raises:
        ValueError: no feature fits the type.
    """
    if kind in ("strings", "integers"):
        return Multivalent()
    if kind == "floats":
        raise ValueError("expected no lists of floats, which no type of feature takes; add the column to 'ignore'")
    if kind == "string" or (kind == "integer" and (is_name or is_id(name))):
        return Categorical()
    return Numeric()


def is_id(name: str) -> bool:
    """Whether a column's name suggests that its values are ids."""
    return bool(_ID.fullmatch(name))


def embedding_width(size: int, given: int | None) -> int:
    """The width of an embedding for `size` ids: `given`, or else a default.

    The default is 6 · size^¼ (Wang et al. 2017, Deep & Cross Network for Ad Click Predictions, section 2.1), rounded
    up to a multiple of 4, so that features share few fused tables.
    """
    return given if given is not None else 4 * math.ceil(6 * size**0.25 / 4)
