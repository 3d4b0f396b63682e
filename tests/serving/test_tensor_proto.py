"""TensorProto to numpy and back, checked against TensorFlow's C++ (`tf.io.parse_tensor`)."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from serving.tensor_proto import MAX_REPEATED, TensorError, fill_content, fill_values, to_array, type_name

ARRAYS = {
    "float32": np.array([[1.5, -2.0, np.inf], [0.1, 3e-39, -0.0]], np.float32),
    "float64": np.array([1e-300, np.pi]),
    "float16": np.array([0.1, -65504, np.inf], np.float16),
    "bfloat16": np.array([0.1, -3e38, 7]).astype(tf.bfloat16.as_numpy_dtype),
    "int8": np.array([-128, 127], np.int8),
    "int16": np.array([-(2**15), 5], np.int16),
    "int32": np.array([-(2**31), 2**31 - 1], np.int32),
    "int64": np.array([[-(2**63)], [2**63 - 1]], np.int64),
    "uint8": np.array([0, 255], np.uint8),
    "uint16": np.array([0, 2**16 - 1], np.uint16),
    "uint32": np.array([0, 2**32 - 1], np.uint32),
    "uint64": np.array([0, 2**64 - 1], np.uint64),
    "bool": np.array([True, False, True]),
    "complex64": np.array([1 + 2j, -0.5j], np.complex64),
    "complex128": np.array([1e300 + 2j]),
    "string": np.array([[b"", b"abc"], ["Amélie".encode(), b"\x00\xff"]], object),
    "scalar": np.array(3.5, np.float32),
    "scalar string": np.array(b"one", object),
    "empty": np.zeros([0, 3], np.float32),
    "empty string": np.zeros([2, 0], object),
}


def in_cpp(proto: tensor_pb2.TensorProto) -> np.ndarray:
    """What TensorFlow's C++ code reads from it."""
    return tf.io.parse_tensor(proto.SerializeToString(), tf.as_dtype(proto.dtype)).numpy()


@pytest.mark.parametrize("fill", [fill_values, fill_content])
@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_arrays_survive_the_way_there_and_back(fill, array):
    proto = tensor_pb2.TensorProto()
    fill(proto, array)

    for back in (to_array(proto), np.asarray(in_cpp(proto), array.dtype)):
        assert back.dtype == array.dtype
        assert back.shape == array.shape
        np.testing.assert_array_equal(back, array)


def test_values_go_where_tf_serving_puts_them():
    """A client that reads `float_val`, as many do, must find the values there."""
    floats, strings = tensor_pb2.TensorProto(), tensor_pb2.TensorProto()
    fill_values(floats, np.array([[0.5, 2.0]], np.float32))
    fill_values(strings, np.array([b"a"], object))

    assert floats == tensor_pb2.TensorProto(
        dtype=types_pb2.DT_FLOAT, tensor_shape=tf.TensorShape([1, 2]).as_proto(), float_val=[0.5, 2.0]
    )
    assert strings == tensor_pb2.TensorProto(
        dtype=types_pb2.DT_STRING, tensor_shape=tf.TensorShape([1]).as_proto(), string_val=[b"a"]
    )


@pytest.mark.parametrize(
    ("field", "values", "expected"),
    [
        ("float_val", [1.0, 2.0], [1.0, 2.0, 2.0, 2.0]),  # too few: the last one again
        ("float_val", [], [0.0, 0.0, 0.0, 0.0]),  # none: zeros
        ("float_val", [1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0, 4.0]),  # too many: the rest is ignored
        ("int_val", [7], [7, 7, 7, 7]),
        ("bool_val", [True], [True] * 4),
        ("half_val", [0x3C00], [1.0] * 4),  # half precision: sign 0, exponent 15 (bias 15), fraction 0
        ("scomplex_val", [1.0, -1.0], [1 - 1j] * 4),
        ("string_val", [b"a", b"b"], [b"a", b"b", b"b", b"b"]),
        ("string_val", [], [b""] * 4),
        ("string_val", [b"a", b"b", b"c", b"d", b"e"], [b"a", b"b", b"c", b"d"]),
    ],
)
def test_values_are_fitted_to_the_shape(field, values, expected):
    types = {
        "float_val": types_pb2.DT_FLOAT,
        "int_val": types_pb2.DT_INT32,
        "bool_val": types_pb2.DT_BOOL,
        "half_val": types_pb2.DT_HALF,
        "scomplex_val": types_pb2.DT_COMPLEX64,
        "string_val": types_pb2.DT_STRING,
    }
    proto = tensor_pb2.TensorProto(
        dtype=types[field], tensor_shape=tf.TensorShape([2, 2]).as_proto(), **{field: values}
    )

    assert to_array(proto).tolist() == np.reshape(np.array(expected, to_array(proto).dtype), [2, 2]).tolist()
    assert in_cpp(proto).tolist() == to_array(proto).tolist()


def test_small_integers_wrap_as_in_cpp():
    """`int_val` holds int32; 300 = 256 + 44."""
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_UINT8, tensor_shape=tf.TensorShape([1]).as_proto(), int_val=[300])

    assert to_array(proto).tolist() == [44]
    assert in_cpp(proto).tolist() == [44]


def strings(content: bytes, count: int) -> tensor_pb2.TensorProto:
    return tensor_pb2.TensorProto(
        dtype=types_pb2.DT_STRING, tensor_shape=tf.TensorShape([count]).as_proto(), tensor_content=content
    )


def test_strings_in_tensor_content():
    """Lengths 3, 0 and 200, the last as two groups of seven bits, low group first: 200 = 1·128 + 72."""
    proto = strings(bytes([3, 0, 0x80 | 72, 1]) + b"abc" + b"x" * 200, 3)

    assert to_array(proto).tolist() == [b"abc", b"", b"x" * 200]
    assert in_cpp(proto).tolist() == [b"abc", b"", b"x" * 200]


@pytest.mark.parametrize(
    "proto",
    [
        strings(b"abc", 0),
        tensor_pb2.TensorProto(
            dtype=types_pb2.DT_FLOAT, tensor_shape=tf.TensorShape([2, 0]).as_proto(), tensor_content=b"abc"
        ),
        tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, tensor_shape=tf.TensorShape(None).as_proto(), float_val=[3]),
    ],
)
def test_what_says_nothing_of_a_tensor_is_ignored(proto):
    """Content of a tensor without elements, and that its rank is unknown."""
    np.testing.assert_array_equal(to_array(proto), in_cpp(proto))


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (
            tensor_pb2.TensorProto(
                dtype=types_pb2.DT_FLOAT, tensor_shape=tf.TensorShape([2]).as_proto(), tensor_content=b"1234567"
            ),
            "expected 8 bytes of tensor_content for float32 [2], received 7",
        ),
        (
            tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, tensor_shape=tf.TensorShape([None]).as_proto()),
            "a tensor's shape must be known, received [-1]",
        ),
        (tensor_pb2.TensorProto(), "unsupported tensor type: DT_INVALID"),
        (tensor_pb2.TensorProto(dtype=types_pb2.DT_RESOURCE), "unsupported tensor type: DT_RESOURCE"),
        (strings(b"\x02a", 1), "expected tensor_content with 1 strings, received 2 bytes that do not hold them"),
        (strings(b"\x01ab", 1), "expected tensor_content with 1 strings, received 3 bytes that do not hold them"),
        (strings(b"\x80", 1), "tensor_content ends inside the strings' lengths"),
        (strings(b"\xff\xff\xff\xff\xff\x01", 1), "tensor_content ends inside the strings' lengths"),
    ],
)
def test_what_is_no_tensor_is_refused(proto, message):
    with pytest.raises(TensorError) as error:
        to_array(proto)

    assert str(error.value) == message


def test_types_that_tensorflow_has_not():
    with pytest.raises(TensorError, match=r"a tensor cannot hold values of type datetime64\[s\]"):
        fill_values(tensor_pb2.TensorProto(), np.array(["2026-11-18"], "datetime64[s]"))


def test_type_names():
    assert type_name(np.zeros(1, np.float32)) == "DT_FLOAT"
    assert type_name(np.array([b""], object)) == "DT_STRING"


@pytest.mark.parametrize("data_type", [types_pb2.DT_FLOAT, types_pb2.DT_STRING])
@pytest.mark.parametrize(
    "sizes", [[2**31], [2**62, 2**62], [MAX_REPEATED + 1]], ids=["gigabytes", "beyond int64", "just too many"]
)
def test_a_few_bytes_do_not_become_gigabytes(data_type, sizes):
    proto = tensor_pb2.TensorProto(dtype=data_type)
    for size in sizes:
        proto.tensor_shape.dim.add().size = size

    with pytest.raises(TensorError, match=f"at most {MAX_REPEATED} elements without a value of their own"):
        to_array(proto)


@pytest.mark.parametrize("sizes", [[0, 2**62, 2**62], [1] * 100], ids=["too long a dimension", "too many"])
def test_shapes_that_numpy_has_not(sizes):
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT)
    for size in sizes:
        proto.tensor_shape.dim.add().size = size

    with pytest.raises(TensorError, match="a tensor of shape"):
        to_array(proto)


def test_content_for_fewer_strings_than_the_shape_has():
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, tensor_content=b"\x01a")
    proto.tensor_shape.dim.add().size = 2**40

    with pytest.raises(TensorError, match="received 2 bytes"):
        to_array(proto)
