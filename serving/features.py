"""Converts named feature values to the tensors of a model's raw-tensor signature, and checks them against it.

A signature has one input per raw column, of shape [rows] for columns with one value per row and [rows, values] for
columns with several. An input has one row (the context, the same for all candidates) or one per candidate. A missing
value is "" for strings, NaN for floats and the smallest int64 for integers. Rows with fewer values than others are
padded with it.
"""

import itertools
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from schema.errors import RanklineError, listing, nearest
from schema.features import MISSING
from serving.tensor_proto import Array

Scalar: TypeAlias = int | float | str | bytes | None
Value: TypeAlias = Scalar | Sequence[Scalar]

_MISSING: dict[str, Any] = {
    "string": str(MISSING["string"]).encode(),
    "float32": MISSING["float"],
    "int64": MISSING["integer"],
}
_TYPE_NAMES = {types_pb2.DT_STRING: "string", types_pb2.DT_FLOAT: "float32", types_pb2.DT_INT64: "int64"}


# These functions return None for values of another type, and do not raise, since requests have thousands of values.
def _string(value: Any) -> bytes | None:
    if isinstance(value, str):
        return value.encode()
    return value if isinstance(value, bytes) else None


def _int64(value: Any) -> Any:
    fits = isinstance(value, (int, np.integer)) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    return value if fits else None


def _float32(value: Any) -> Any:
    fits = isinstance(value, (float, int, np.floating, np.integer)) and not isinstance(value, bool)
    return value if fits else None


_CONVERTED: dict[str, Callable[[Any], Any]] = {"string": _string, "int64": _int64, "float32": _float32}


class FeatureError(RanklineError, ValueError):
    """A feature is not one of the model's inputs, or has a value of the wrong type."""


@dataclass(frozen=True)
class Column:
    """One input of a raw-tensor signature.

    Attributes:
        name: the name of the raw column.
        type: "int64", "float32" or "string".
        multivalent: whether a row may have any number of values.
        optional: whether a request may leave it out, since the model then knows a value.
    """

    name: str
    type: str
    multivalent: bool
    optional: bool = False

    @property
    def missing(self) -> Array:
        """A tensor with one row, in which the value is missing."""
        return self._array([[_MISSING[self.type]]] if self.multivalent else [_MISSING[self.type]])

    def parsed(self, text: str) -> Any:
        """A value as it is written on a command line; several values are a JSON list.

        Raises:
            FeatureError: the text is not a value of the type.
        """
        try:
            if self.multivalent:
                values = json.loads(text)
                return values if isinstance(values, list) else [values]
            return {"string": str, "int64": int, "float32": float}[self.type](text)
        except ValueError:
            expected = f"a JSON list of {self.type} values" if self.multivalent else self.type
            raise FeatureError(f"feature {self.name!r}: expected {expected}, received {text!r}") from None

    def row(self, value: Value) -> Array:
        """The context's value as a tensor with one row.

        Raises:
            FeatureError: the value has another type.
        """
        return self._rows([value], "context")

    def rows(self, values: Sequence[Value]) -> Array:
        """The candidates' values as a tensor with one row for each.

        Raises:
            FeatureError: a value has another type.
        """
        return self._rows(values, "candidate {}")

    def _rows(self, values: Sequence[Value], place: str) -> Array:
        """A tensor with a row for each value; `place` names the row in errors, with {} for its index."""
        if not self.multivalent:
            return self._array(self._scalars(values, range(len(values)), place))
        lists = [self._list(value, place, index) for index, value in enumerate(values)]
        lengths = np.array([len(elements) for elements in lists], int)
        elements = self._scalars(list(itertools.chain(*lists)), np.repeat(np.arange(len(lists)), lengths), place)
        rows = np.repeat(self.missing, len(lists), axis=0).repeat(max([1, *lengths]), axis=1)
        rows[np.arange(rows.shape[1]) < lengths[:, np.newaxis]] = self._array(elements)
        return rows

    def _array(self, rows: Sequence[Any]) -> Array:
        return np.array(rows, dtype=object if self.type == "string" else self.type)

    def _list(self, value: Value, place: str, index: int) -> Sequence[Scalar]:
        if value is None:
            return ()
        if isinstance(value, str | bytes) or not isinstance(value, Iterable):
            raise FeatureError(
                f"feature {self.name!r}, {place.format(index)}: expected a list of {self.type} values, "
                f"received {_described(value)}; write [{value!r}] for a single value"
            )
        return list(_plain(value))

    def _scalars(self, values: Sequence[Value], rows: Sequence[int] | Array, place: str) -> list[Any]:
        """Converts values to the tensor's type; `rows` has the row of each value, for errors."""
        convert, missing = _CONVERTED[self.type], _MISSING[self.type]
        converted = [missing if value is None else convert(value) for value in values]
        if None in converted:
            wrong = converted.index(None)
            raise FeatureError(
                f"feature {self.name!r}, {place.format(rows[wrong])}: expected {self.type}, "
                f"received {_described(values[wrong])}"
            )
        return converted


def columns_of(signature: meta_graph_pb2.SignatureDef) -> dict[str, Column]:
    """The columns of a raw-tensor signature, by name.

    Raises:
        FeatureError: the signature is not a raw-tensor signature.
    """
    columns = {}
    for name, info in sorted(signature.inputs.items()):
        dimensions = len(info.tensor_shape.dim)
        if info.dtype not in _TYPE_NAMES or dimensions not in (1, 2):
            raise FeatureError(
                f"input {name!r}: expected int64, float32 or string with one or two dimensions, received "
                f"{types_pb2.DataType.Name(info.dtype)} with {dimensions}"
            )
        columns[name] = Column(
            name, _TYPE_NAMES[info.dtype], multivalent=dimensions == 2, optional=name in signature.defaults
        )
    return columns


def to_tensors(
    columns: Mapping[str, Column], context: Mapping[str, Value], candidates: Mapping[str, Sequence[Value]]
) -> dict[str, Array]:
    """Converts the features of a request to the signature's inputs.

    Args:
        columns: the columns of the signature.
        context: column name -> the value that all candidates share; None is a missing value.
        candidates: column name -> a value for each candidate.

    Returns:
        A tensor for every column: one row for a column in `context`, a row per candidate for a column in `candidates`,
        and else one row with a missing value, or none if the column is optional.

    Raises:
        FeatureError: a name is unknown, a value has the wrong type, a column is in both mappings, or the columns of
            `candidates` have different lengths.
    """
    _check_names(columns, context, candidates)
    number_of(candidates)
    of_context = {name: column for name, column in columns.items() if name not in candidates}
    of_candidates = {name: columns[name].rows(_plain(values)) for name, values in candidates.items()}
    return {**context_tensors(of_context, context), **of_candidates}


def context_tensors(columns: Mapping[str, Column], context: Mapping[str, Value]) -> dict[str, Array]:
    """Converts the features of a context to the signature's inputs.

    Args:
        columns: the columns that describe a context.
        context: column name -> value; None is a missing value.

    Returns:
        A tensor with one row for every column, in which the value is missing for a column that is not in `context`;
        none if that column is optional.

    Raises:
        FeatureError: a name is unknown, or a value has the wrong type.
    """
    _check_names(columns, context, ())
    return {
        name: column.row(_plain(context[name])) if name in context else column.missing
        for name, column in columns.items()
        if name in context or not column.optional
    }


def number_of(candidates: Mapping[str, Sequence[Value]]) -> int:
    """The number of candidates.

    Raises:
        FeatureError: the columns have different lengths, or there are no columns.
    """
    if not candidates:
        raise FeatureError(
            "expected at least one feature of the candidates, received none: how many there are is unknown; "
            "if there are none, give one an empty list"
        )
    for name, values in candidates.items():
        if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
            raise FeatureError(
                f"feature {name!r}: expected a list with a value for each candidate, received {_described(values)}"
            )
    lengths = {name: len(values) for name, values in candidates.items()}
    if len(set(lengths.values())) > 1:
        raise FeatureError(
            "expected as many values of each feature as there are candidates, received "
            + ", ".join(f"{length} of {name!r}" for name, length in lengths.items())
        )
    return next(iter(lengths.values()))


def _check_names(known: Collection[str], context: Collection[str], candidates: Collection[str]) -> None:
    for name in [*context, *candidates]:
        if name not in known:
            raise FeatureError(
                f"feature {name!r}: expected one of the model's inputs {listing(known)}, received another"
                f"{nearest(name, known)}"
            )
    for name in context:
        if name in candidates:
            raise FeatureError(f"feature {name!r}: expected in the context or in the candidates, received in both")


def _plain(values: Any) -> Any:
    """Converts NumPy's values to Python's, over which loops are faster."""
    return values.tolist() if isinstance(values, np.ndarray | np.generic) else values


def _described(value: Any) -> str:
    return f"{type(value).__name__} ({value!r:.60})"
