"""Named feature values as the tensors of a model's raw-tensor signature, checked against it.

A signature has one input per raw column: of shape [rows] if a row has one value of it, [rows, values] if it has
several. An input has one row (the context, the same for all candidates) or one per candidate. A missing value
is written as "" for strings, NaN for floats and the smallest int64 for integers, and rows with fewer values
than others are filled up with it.
"""

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from schema.errors import RanklineError, listing, nearest
from schema.features import MISSING
from serving.tensors import Array

Scalar: TypeAlias = int | float | str | bytes | None
Value: TypeAlias = Scalar | Sequence[Scalar]

_MISSING: dict[str, Any] = {
    "string": str(MISSING["string"]).encode(),
    "float32": MISSING["float"],
    "int64": MISSING["integer"],
}
_TYPE_NAMES = {types_pb2.DT_STRING: "string", types_pb2.DT_FLOAT: "float32", types_pb2.DT_INT64: "int64"}


# A function for each type, which is None for a value that is not of it: requests have thousands of values.
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
    """A feature that the model does not have, or a value that it does not take."""


@dataclass(frozen=True)
class Column:
    """One input of a raw-tensor signature.

    Attributes:
        name: of the raw column.
        type: "int64", "float32" or "string".
        multivalent: a row may have any number of values.
    """

    name: str
    type: str
    multivalent: bool

    @property
    def missing(self) -> Array:
        """One row in which the value is missing."""
        return self._array([[_MISSING[self.type]]] if self.multivalent else [_MISSING[self.type]])

    def row(self, value: Value) -> Array:
        """The context's value as a tensor with one row.

        Raises:
            FeatureError: it is of another type.
        """
        return self._rows([value], "context")

    def rows(self, values: Sequence[Value]) -> Array:
        """The candidates' values as a tensor with one row for each.

        Raises:
            FeatureError: one is of another type.
        """
        return self._rows(values, "candidate {}")

    def _rows(self, values: Sequence[Value], place: str) -> Array:
        """One row for each value; `place` says where it is, with {} for its index."""
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
        """Values, each of which belongs to a row, as the tensor holds them."""
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
    """The columns that a raw-tensor signature takes, by name.

    Raises:
        FeatureError: it is not a raw-tensor signature.
    """
    columns = {}
    for name, info in sorted(signature.inputs.items()):
        dimensions = len(info.tensor_shape.dim)
        if info.dtype not in _TYPE_NAMES or dimensions not in (1, 2):
            raise FeatureError(
                f"input {name!r}: expected int64, float32 or string with one or two dimensions, received "
                f"{types_pb2.DataType.Name(info.dtype)} with {dimensions}"
            )
        columns[name] = Column(name, _TYPE_NAMES[info.dtype], multivalent=dimensions == 2)
    return columns


def to_tensors(
    columns: Mapping[str, Column], context: Mapping[str, Value], candidates: Mapping[str, Sequence[Value]]
) -> dict[str, Array]:
    """One request's features as the signature's inputs.

    Args:
        columns: of the signature.
        context: what all candidates share, by column name; None is a missing value.
        candidates: by column name, a value for each candidate.

    Returns:
        A tensor for every column: with one row from the context, one per candidate from `candidates`, or
        one row with a missing value if it is in neither.

    Raises:
        FeatureError: unknown name, wrong type, a column in both, or columns of different lengths.
    """
    _check_names(columns, context, candidates)
    number_of(candidates)
    tensors = {}
    for name, column in columns.items():
        if name in context:
            tensors[name] = column.row(_plain(context[name]))
        elif name in candidates:
            tensors[name] = column.rows(_plain(candidates[name]))
        else:
            tensors[name] = column.missing
    return tensors


def number_of(candidates: Mapping[str, Sequence[Value]]) -> int:
    """How many candidates there are.

    Raises:
        FeatureError: the columns do not agree, or there is none to tell from.
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
    """Numpy's values as Python's, which are faster to look at one by one."""
    return values.tolist() if isinstance(values, np.ndarray | np.generic) else values


def _described(value: Any) -> str:
    return f"{type(value).__name__} ({value!r:.60})"
