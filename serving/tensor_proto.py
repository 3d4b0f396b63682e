"""Converts TensorProtos to NumPy arrays and back, as TensorFlow's `Tensor::FromProto` and `Tensor::AsProtoField` do.

`tf.make_tensor_proto` and `tf.make_ndarray` take several times as long per tensor and need all of TensorFlow. A string
tensor is a NumPy array of `bytes` objects. `serving.server.predict` makes the tensors of a request, and
`serving.features` those of a client's features.
"""

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
from numpy.typing import DTypeLike, NDArray
from tensorflow.core.framework import tensor_pb2, types_pb2

Array: TypeAlias = NDArray[Any]

MAX_REPEATED = 1 << 24
"""The largest number of elements that a TensorProto may leave out, so that a few bytes cannot take gigabytes."""


class TensorError(ValueError):
    """A TensorProto that does not describe a tensor."""


@dataclass(frozen=True)
class _Encoding:
    """The field in which a TensorProto keeps values of one type.

    Attributes:
        dtype: the type of the tensor.
        field: the name of the `*_val` field.
        wire: the type of the field's elements.
        as_bits: whether the field holds bits (half precision) or components (complex numbers) to reinterpret; else it
            holds values to convert.
    """

    dtype: np.dtype[Any]
    field: str
    wire: np.dtype[Any]
    as_bits: bool = False


def _encoding(dtype: DTypeLike, field: str, wire: DTypeLike | None = None, as_bits: bool = False) -> _Encoding:
    return _Encoding(np.dtype(dtype), field, np.dtype(wire or dtype), as_bits)


_NUMERIC = {
    types_pb2.DT_FLOAT: _encoding(np.float32, "float_val"),
    types_pb2.DT_DOUBLE: _encoding(np.float64, "double_val"),
    types_pb2.DT_HALF: _encoding(np.float16, "half_val", np.uint16, as_bits=True),
    types_pb2.DT_BFLOAT16: _encoding(ml_dtypes.bfloat16, "half_val", np.uint16, as_bits=True),
    types_pb2.DT_INT8: _encoding(np.int8, "int_val", np.int32),
    types_pb2.DT_INT16: _encoding(np.int16, "int_val", np.int32),
    types_pb2.DT_INT32: _encoding(np.int32, "int_val"),
    types_pb2.DT_INT64: _encoding(np.int64, "int64_val"),
    types_pb2.DT_UINT8: _encoding(np.uint8, "int_val", np.int32),
    types_pb2.DT_UINT16: _encoding(np.uint16, "int_val", np.int32),
    types_pb2.DT_UINT32: _encoding(np.uint32, "uint32_val"),
    types_pb2.DT_UINT64: _encoding(np.uint64, "uint64_val"),
    types_pb2.DT_BOOL: _encoding(np.bool_, "bool_val"),
    types_pb2.DT_COMPLEX64: _encoding(np.complex64, "scomplex_val", np.float32, as_bits=True),
    types_pb2.DT_COMPLEX128: _encoding(np.complex128, "dcomplex_val", np.float64, as_bits=True),
}
_DATA_TYPES = {encoding.dtype: data_type for data_type, encoding in _NUMERIC.items()}


def to_array(proto: tensor_pb2.TensorProto) -> Array:
    """Converts a TensorProto, in either of its two encodings, to an array.

    `tensor_content`, if set, holds exactly the tensor's bytes (for strings: all lengths as varints, then all
    characters); it is ignored if the tensor has no elements. Otherwise the `*_val` field holds the values: extra values
    are ignored, the last value is repeated if there are too few, and no values mean zeros or empty strings.

    Args:
        proto: a tensor of a numeric type or of strings.

    Returns:
        The array, which is read-only if it comes from `tensor_content`.

    Raises:
        TensorError: the type is not supported, a dimension is negative, the content does not fit the shape, or more
            than `MAX_REPEATED` elements have no value of their own.
    """
    shape = _shape(proto)
    try:
        return _flat(proto, shape).reshape(shape)
    except TensorError:
        raise
    except ValueError as error:  # more dimensions than numpy has, or a dimension beyond its largest
        raise TensorError(f"a tensor of shape {shape}: {error}") from error


def fill_values(proto: tensor_pb2.TensorProto, array: Array) -> None:
    """Writes an array into an empty TensorProto, with the values in the type's `*_val` field.

    Args:
        proto: the TensorProto to fill.
        array: an array of a numeric type, of `bytes`, or of `bytes` objects.

    Raises:
        TensorError: a TensorProto has no field for this type.
    """
    data_type = _fill_header(proto, array)
    if data_type == types_pb2.DT_STRING:
        proto.string_val.extend(array.ravel().tolist())
        return
    encoding = _NUMERIC[data_type]
    flat = np.ascontiguousarray(array).reshape(-1)
    if encoding.as_bits:
        flat = flat.view(encoding.wire)
    getattr(proto, encoding.field).extend(flat.tolist())


def fill_content(proto: tensor_pb2.TensorProto, array: Array) -> None:
    """Like `fill_values`, but writes numeric values to `tensor_content` as bytes, which is faster."""
    if _fill_header(proto, array) == types_pb2.DT_STRING:
        proto.string_val.extend(array.ravel().tolist())
    else:
        proto.tensor_content = array.tobytes()


def type_name(array: Array) -> str:
    """TensorFlow's name of the array's type, such as `DT_FLOAT` or `DT_STRING`.

    Raises:
        TensorError: TensorFlow does not have this type.
    """
    return _name_of(_data_type(array))


def _data_type(array: Array) -> int:
    data_type = types_pb2.DT_STRING if array.dtype.kind in "OS" else _DATA_TYPES.get(array.dtype)
    if data_type is None:
        raise TensorError(f"a tensor cannot hold values of type {array.dtype}")
    return int(data_type)


def _fill_header(proto: tensor_pb2.TensorProto, array: Array) -> int:
    data_type = proto.dtype = _data_type(array)
    proto.tensor_shape.SetInParent()
    for size in array.shape:
        proto.tensor_shape.dim.add().size = size
    return data_type


def _shape(proto: tensor_pb2.TensorProto) -> list[int]:
    """The listed dimensions. `unknown_rank` is ignored in a tensor, as in `TensorShape::IsValid`."""
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if shape and min(shape) < 0:
        raise TensorError(f"a tensor's shape must be known, received {shape}")
    return shape


def _flat(proto: tensor_pb2.TensorProto, shape: list[int]) -> Array:
    size = math.prod(shape)
    if proto.dtype == types_pb2.DT_STRING:
        return _strings(proto, size)
    encoding = _NUMERIC.get(proto.dtype)
    if encoding is None:
        raise TensorError(f"unsupported tensor type: {_name_of(proto.dtype)}")
    if not size:
        return np.empty(0, encoding.dtype)
    if proto.tensor_content:
        return _from_content(proto.tensor_content, encoding.dtype, shape)
    return _completed(_field_values(proto, encoding), size)


def _from_content(content: bytes, dtype: np.dtype[Any], shape: list[int]) -> Array:
    expected = math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        raise TensorError(f"expected {expected} bytes of tensor_content for {dtype} {shape}, received {len(content)}")
    return np.frombuffer(content, dtype)


def _field_values(proto: tensor_pb2.TensorProto, encoding: _Encoding) -> Array:
    field = getattr(proto, encoding.field)
    values: Array = np.fromiter(field, encoding.wire, len(field))
    if not encoding.as_bits:
        return values.astype(encoding.dtype, copy=False)  # integers wrap, as in C++
    per_element = encoding.dtype.itemsize // encoding.wire.itemsize
    return values[: len(values) // per_element * per_element].view(encoding.dtype)


def _completed(values: Array, size: int) -> Array:
    if len(values) >= size:
        return values[:size]
    _check_repeated(size - len(values))
    completed = np.zeros(size, values.dtype)
    if len(values):
        completed[: len(values)] = values
        completed[len(values) :] = values[-1]
    return completed


def _strings(proto: tensor_pb2.TensorProto, size: int) -> Array:
    if proto.tensor_content and size:
        values = _strings_from_content(proto.tensor_content, size)
    else:
        values = proto.string_val[:size]
        _check_repeated(size - len(values))
        values += (values[-1:] or [b""]) * (size - len(values))
    return np.array(values, dtype=object)


def _check_repeated(count: int) -> None:
    if count > MAX_REPEATED:
        raise TensorError(f"expected at most {MAX_REPEATED} elements without a value of their own, received {count}")


def _strings_from_content(content: bytes, count: int) -> list[bytes]:
    if count > len(content):  # each string's length takes at least a byte
        raise TensorError(f"expected tensor_content with {count} strings, received {len(content)} bytes")
    lengths, start = [], 0
    for _ in range(count):
        length, start = _varint(content, start)
        lengths.append(length)
    if start + sum(lengths) != len(content):
        raise TensorError(
            f"expected tensor_content with {count} strings, received {len(content)} bytes that do not hold them"
        )
    strings = []
    for length in lengths:
        strings.append(content[start : start + length])
        start += length
    return strings


def _varint(content: bytes, start: int) -> tuple[int, int]:
    """A base-128 varint (least significant group first), and the offset of its end."""
    value = 0
    for position in range(start, min(start + 5, len(content))):
        value |= (content[position] & 0x7F) << 7 * (position - start)
        if content[position] < 0x80:
            return value, position + 1
    raise TensorError("tensor_content ends inside the strings' lengths")


def _name_of(data_type: int) -> str:
    try:
        return str(types_pb2.DataType.Name(data_type))
    except ValueError:
        return str(data_type)
