"""The rows of a dataset in its description: their files, labels, rankings and splits."""

from __future__ import annotations

import contextlib
import datetime
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Annotated, Literal, Self, TypeGuard

from pydantic import Field, field_validator, model_validator

from schema.answers import LabelKind
from schema.errors import listing, nearest
from schema.features import Described

Split = Literal["train", "eval", "test"]
SPLITS: tuple[Split, ...] = ("train", "eval", "test")
"""The split to train the model, the one to stop its training early, and the one to judge it. Each row is in exactly one
of them."""

NULL_VALUES = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "<NA>", "#N/A", "\\N")
"""The texts that pandas, spreadsheets and databases write for a missing value."""

NUMBER, DATE = {"SPAN"}, {"YYYY", "MM", "DD"}
"""The placeholders that a path in `Source.files` may have, see `schema.spans`."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_RULE = re.compile(r"\s*(>=|<=|==|!=|>|<)\s*(.+?)\s*")


class Label(Described):
    """The label, which the model predicts. By default `column` holds 0 and 1. With `positive`, a rule or a list says
    which values are positive; with `classes`, the label is one of many classes; with `number`, it is a number.
    """

    column: str
    """The column that holds the label."""
    positive: str | tuple[str, ...] | tuple[float, ...] | None = None
    """A rule such as `>= 4`, `== yes` or `== true`, or the list of values that count as positive, texts or numbers.
    Without it the column holds 0 and 1."""
    classes: int | tuple[str, ...] | tuple[float, ...] | None = None
    """The values of a label of many classes, texts or numbers; or n, for whole numbers from 0 to n - 1."""
    number: bool = False
    """Whether the label is a number."""

    @property
    def kind(self) -> LabelKind:
        """The kind of the model's answer: a probability, a probability for each class, or a number."""
        return "number" if self.number else "classes" if self.classes is not None else "binary"

    @field_validator("classes", mode="before")
    @classmethod
    def _count_or_values(cls, value: object) -> object:
        several = len(set(value)) == len(value) > 1 if _are_values(value) else type(value) is int and value > 1
        if value is None or several:
            return value
        raise ValueError(
            "expected a number of classes, or a list of different values that are all texts or all numbers"
        )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [
            name
            for name, is_given in (
                ("positive", self.positive is not None),
                ("classes", self.classes is not None),
                ("number", self.number),
            )
            if is_given
        ]
        if len(given) > 1:
            raise ValueError(f"expected one of positive, classes and number, received {listing(given)}")
        return self

    @field_validator("positive", mode="before")
    @classmethod
    def _rule_or_values(cls, value: object) -> object:
        if isinstance(value, bool):
            return f"== {str(value).lower()}"
        if value is None or (isinstance(value, str) and _is_rule(value)) or _are_values(value):
            return value
        raise ValueError(
            "expected a rule such as '>= 4' or '== yes', or a list of values that are all texts or all numbers"
        )

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts that the rule, the positive values or the classes name."""
        named = [self.rule[1]] if self.rule else []
        for values in (self.positive, self.classes):
            named += values if isinstance(values, tuple) else ()
        return tuple(value for value in named if isinstance(value, str))

    @property
    def rule(self) -> tuple[str, str | float | bool] | None:
        """The comparison and its right-hand side (a number, true or false, or a text); None if `positive` is not a
        rule.
        """
        return _rule(self.positive) if isinstance(self.positive, str) else None


_TRUTHS = {"true": True, "false": False}


def _rule(text: str) -> tuple[str, str | float | bool] | None:
    match = _RULE.fullmatch(text)
    if not match:
        return None
    comparison, value = match.groups()
    if value.lower() in _TRUTHS:
        return comparison, _TRUTHS[value.lower()]
    try:
        return comparison, float(value)
    except ValueError:
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
        return comparison, value[1:-1] if quoted else value


def _is_rule(text: str) -> bool:
    rule = _rule(text)
    return rule is not None and (isinstance(rule[1], float) or rule[0] in ("==", "!="))


def _are_values(value: object) -> TypeGuard[Sequence[str] | Sequence[float]]:
    if not isinstance(value, list | tuple) or not value:
        return False
    numbers = [isinstance(entry, int | float) and not isinstance(entry, bool) for entry in value]
    return all(numbers) or all(isinstance(entry, str) for entry in value)


class Ranking(Described):
    """The lists to rank. Each `group` has one list, which is requested and judged as a whole."""

    group: str
    """The column that names the list: a user, a query, a session."""
    item: str
    """The column that names the candidate."""
    item_columns: tuple[str, ...] = ()
    """The columns that describe the item; all others describe the group or the moment."""
    title: str | None = None
    """The item's column to show to people."""


Fractions = Mapping[Split, Annotated[float, Field(gt=0, lt=1)]]
_FRACTIONS: Fractions = {"train": 0.8, "eval": 0.1, "test": 0.1}


class _BySplit(Described):
    fractions: Fractions = _FRACTIONS
    """The share of the rows in each split."""

    @field_validator("fractions")
    @classmethod
    def _sum_to_one(cls, value: Fractions) -> Fractions:
        if set(value) != set(SPLITS) or not math.isclose(sum(value.values()), 1):
            raise ValueError("expected fractions of train, eval and test that add up to 1")
        return value


class _ByHash(Described):
    """By a hash of the row's identity (see `schema.identity`), so that a row is in the same split in every run."""

    key: tuple[str, ...] = ()
    """The column or columns whose values keep rows together, wherever they stand. By default they are the ranking's
    group and item; without a ranking, each row's file and its place in it decide."""

    @field_validator("key", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value or ()


class RandomSplits(_BySplit, _ByHash):
    """By a hash of the row's identity: its key, or its place in its file."""

    by: Literal["random"] = "random"


class TimeSplits(_BySplit):
    """By time: the test rows are later than all training rows. Rows with equal times stay together."""

    by: Literal["time"]
    column: str
    """The column of numbers, dates or times."""
    boundaries: tuple[float, float] | None = None
    """The beginnings of eval and of test (inclusive), in place of fractions: dates (in UTC), or numbers like the
    column's."""

    @field_validator("boundaries", mode="before")
    @classmethod
    def _dates_as_seconds(cls, value: object) -> object:
        return [_unix_seconds(entry) for entry in value] if isinstance(value, list) else value

    @field_validator("boundaries")
    @classmethod
    def _ascending(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value and value[0] >= value[1]:
            raise ValueError("expected the beginning of eval before the beginning of test")
        return value


def _unix_seconds(value: object) -> object:
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = datetime.datetime.fromisoformat(value)
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        value = datetime.datetime(value.year, value.month, value.day)
    if isinstance(value, datetime.datetime):
        return (value if value.tzinfo else value.replace(tzinfo=datetime.UTC)).timestamp()
    return value


class GivenSplits(_ByHash):
    """By file: `source.files` names the files of each split."""

    by: Literal["given"]
    eval_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """The share of the train rows that becomes the eval split if no eval files are given, by a hash of the rows'
    identity."""


Splits = Annotated[RandomSplits | TimeSplits | GivenSplits, Field(discriminator="by")]


_Character = Annotated[str, Field(min_length=1, max_length=1)]


class Source(Described):
    """The files with the rows. Paths are relative to the dataset's folder."""

    files: str | Mapping[Split, str] = ""
    """A file, a folder or a glob of CSV, Parquet or TFRecord files; or one of these for each of `train`, `test` and
    perhaps `eval`. By default it is all data files of the dataset's folder. With `{SPAN}`, or `{YYYY}`, `{MM}` and
    `{DD}`, in it, files come in spans, see [Day by day](../guides/day-by-day.md)."""
    format: Literal["csv", "parquet", "tfrecord"] | None = None
    """The format of the files. By default the file names' ending decides."""
    fetch: str | None = None
    """A Python file in the dataset's folder whose `fetch(folder: Path) -> None` puts the files into a cache folder, to
    which `files` is then relative."""
    delimiter: _Character | None = None
    """The character between the fields of a CSV file. By default it is a tab for `.tsv` files, else a comma."""
    quoting: Literal["minimal", "none"] = "minimal"
    """The quoting of a CSV file. With `minimal`, fields may be enclosed in double quotes, in which a quote is doubled;
    with `none`, quotes are ordinary characters."""
    escape: _Character | None = None
    """The character that escapes a following quote, delimiter or line end in a CSV file, such as the backslash (in YAML
    `'\\'`) in files of Spark and MySQL. Before letters and digits it is an ordinary character."""
    header: bool = True
    """Whether CSV files begin with the columns' names."""
    column_names: tuple[str, ...] = ()
    """The names of the columns of CSV files without a header."""
    null_values: tuple[str, ...] = NULL_VALUES
    """The texts that stand for a missing value, in files of any format."""

    @field_validator("files", mode="before")
    @classmethod
    def _path_or_paths(cls, value: object) -> object:
        if isinstance(value, str):
            return value
        if not isinstance(value, Mapping) or not all(isinstance(path, str) for path in value.values()):
            raise ValueError("expected a path, or a path for each of train, eval and test")
        for split in value:
            if split not in SPLITS:
                raise ValueError(
                    f"expected paths for {listing(SPLITS)}, received {split!r}{nearest(str(split), SPLITS)}"
                )
        if not {"train", "test"} <= set(value):
            raise ValueError(f"expected at least train and test, received {listing(value)}")
        return value

    @field_validator("files")
    @classmethod
    def _placeholders(cls, value: str | Mapping[Split, str]) -> str | Mapping[Split, str]:
        patterns = [value] if isinstance(value, str) else list(value.values())
        for pattern in patterns:
            found = placeholders(pattern)
            if found not in (set(), NUMBER, DATE):
                raise ValueError(
                    "expected {SPAN}, or {YYYY}, {MM} and {DD}, or no placeholders, "
                    f"received {listing(f'{{{name}}}' for name in sorted(found))}"
                )
            if found != placeholders(patterns[0]):
                raise ValueError(f"expected the same placeholders in all paths, received {listing(patterns)}")
        return value

    @field_validator("delimiter", "escape")
    @classmethod
    def _mark(cls, value: str | None) -> str | None:
        if value is not None and (not value.isascii() or value.isalnum() or value in '"\r\n\0'):
            raise ValueError(
                f"expected an ASCII character that is no letter, digit, double quote or line end, received {value!r}"
            )
        return value

    @field_validator("fetch")
    @classmethod
    def _of_the_dataset(cls, value: str | None) -> str | None:
        """Refuses files outside the dataset's folder, since this file is executed."""
        if value is not None and (PurePath(value).is_absolute() or ".." in PurePath(value).parts):
            raise ValueError(f"expected a Python file in the dataset's folder, received {value!r}")
        return value

    @model_validator(mode="after")
    def _different_marks(self) -> Self:
        if self.escape and self.escape == self.delimiter:
            raise ValueError(f"expected an escape other than the delimiter, received {self.escape!r} for both")
        return self

    @model_validator(mode="after")
    def _header_or_names(self) -> Self:
        if self.header and self.column_names:
            raise ValueError("expected column_names only with 'header: false', received them with a header")
        if not self.header and not self.column_names:
            raise ValueError("expected column_names for files without a header, received none")
        return self


def placeholders(pattern: str) -> set[str]:
    """The names of the placeholders in a path, such as `YYYY`."""
    return set(_PLACEHOLDER.findall(pattern))
