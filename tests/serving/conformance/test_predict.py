"""Predict: TF Serving's predict_util.cc and server_core.cc, TensorFlow's cc/saved_model/util.cc and
core/framework/tensor.cc.
"""

import ml_dtypes
import numpy as np
import pytest
from grpc import StatusCode
from tensorflow.core.example import example_pb2
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import model_pb2, predict_pb2

from serving.tensor_proto import fill_content, fill_values, to_array
from tests.serving.asking import TIMEOUT_S, error_of
from tests.serving.conformance.conftest import spec
from tests.serving.conformance.models import ECHOED


def tensor(values, dtype=np.float32):
    proto = tensor_pb2.TensorProto()
    fill_values(proto, np.array(values, dtype))
    return proto


def proto(data_type, dims=(), unknown_rank=False, **fields):
    """A TensorProto as no library would write it."""
    result = tensor_pb2.TensorProto(dtype=data_type, **fields)
    result.tensor_shape.unknown_rank = unknown_rank
    for size in dims:
        result.tensor_shape.dim.add().size = size
    return result


def request(model_spec, *output_filter, **inputs):
    return predict_pb2.PredictRequest(model_spec=model_spec, inputs=inputs, output_filter=output_filter)


@pytest.fixture
def predict(prediction):
    def predict(*args, **inputs):
        return prediction.Predict(request(*args, **inputs), timeout=TIMEOUT_S)

    return predict


# y = x / 2 + version.


@pytest.mark.parametrize(
    ("asked", "version"),
    [
        (spec("linear"), 2),
        (spec("linear", 1), 1),
        (spec("linear", 2), 2),
        (spec("linear", label="stable"), 1),
        (spec("linear", label="canary"), 2),
        (spec("linear", signature="serving_default"), 2),
        (spec("latest"), 3),
        (spec("latest", 2), 2),
        (spec("all"), 3),
        (spec("all", 1), 1),
        (spec("padded"), 7),
        (spec("padded", 7), 7),
    ],
    ids=str,
)
def test_the_answer_says_which_version_and_signature_it_is_of(predict, asked, version):
    response = predict(asked, x=tensor([2, 4]))

    assert response.model_spec == spec(asked.name, version, signature="serving_default")
    np.testing.assert_array_equal(to_array(response.outputs["y"]), [1 + version, 2 + version])


@pytest.mark.parametrize(
    ("asked", "code", "message"),
    [
        (None, StatusCode.INVALID_ARGUMENT, "Missing ModelSpec"),
        (model_pb2.ModelSpec(), StatusCode.INVALID_ARGUMENT, "ModelSpec has no name specified."),
        (spec("nobody"), StatusCode.NOT_FOUND, "Servable not found for request: Latest(nobody)"),
        (spec("nobody", 1), StatusCode.NOT_FOUND, "Servable not found for request: Specific(nobody, 1)"),
        (spec("linear", 9), StatusCode.NOT_FOUND, "Servable not found for request: Specific(linear, 9)"),
        (spec("linear", 0), StatusCode.NOT_FOUND, "Servable not found for request: Specific(linear, 0)"),
        (spec("linear", -1), StatusCode.NOT_FOUND, "Servable not found for request: Specific(linear, -1)"),
        # They are there, but the policy does not choose them.
        (spec("linear", 3), StatusCode.NOT_FOUND, "Servable not found for request: Specific(linear, 3)"),
        (spec("latest", 1), StatusCode.NOT_FOUND, "Servable not found for request: Specific(latest, 1)"),
        (spec("newcomer"), StatusCode.NOT_FOUND, "Servable not found for request: Latest(newcomer)"),
        (spec("linear", label="best"), StatusCode.INVALID_ARGUMENT, "Unrecognized servable version label: best"),
        (spec("linear", label=""), StatusCode.INVALID_ARGUMENT, "Unrecognized servable version label: "),
        (spec("latest", label="stable"), StatusCode.INVALID_ARGUMENT, "Unrecognized servable version label: stable"),
        (spec("nobody", label="stable"), StatusCode.INVALID_ARGUMENT, "Unrecognized servable version label: stable"),
        (spec("Linear"), StatusCode.NOT_FOUND, "Servable not found for request: Latest(Linear)"),
        (
            spec("linear", signature="other"),
            StatusCode.FAILED_PRECONDITION,
            'Serving signature key "other" not found.',
        ),
        (
            spec("named"),
            StatusCode.FAILED_PRECONDITION,
            'Serving signature key "serving_default" not found.',
        ),
    ],
    ids=str,
)
def test_there_is_nobody_to_answer(prediction, asked, code, message):
    assert error_of(prediction.Predict, request(asked, x=tensor([1]))) == (code, message)


ONE = tensor([1])


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (
            request(spec("linear")),
            "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}.",
        ),
        (
            request(spec("linear"), x=ONE, z=ONE, a=ONE),
            "input size does not match signature: 3!=1 len({a,x,z}) != len({x}). Sent extra: {a,z}. "
            "Missing but required: {}.",
        ),
        (
            request(spec("types", signature="constant"), x=ONE),
            "input size does not match signature: 1!=0 len({x}) != len({}). Sent extra: {x}. Missing but required: {}.",
        ),
        (
            request(spec("types", signature="several"), ints=ONE),
            "input size does not match signature: 1!=3 len({ints}) != len({floats,ints,strings}). Sent extra: {}. "
            "Missing but required: {floats,strings}.",
        ),
        (
            request(spec("types", signature="defaults"), a=ONE, b=ONE, x=ONE, scale=ONE),
            "input size does not match signature: 4!=3 len({a,b,scale,x}) != len({scale,shift,x}). Sent extra: {a,b}. "
            "Missing but required: {shift}.",
        ),
        (
            request(spec("linear"), z=ONE),
            "Signature input alias: x(feed name: x:0) not found in request and no default value provided. Inputs "
            "expected to be in the request {z}, or default input alias set: ",
        ),
        (
            request(spec("types", signature="defaults"), scale=ONE),
            "Signature input alias: x(feed name: floats:0) not found in request and no default value provided. Inputs "
            "expected to be in the request {scale}, or default input alias set: scale,shift",
        ),
        (
            request(spec("types", signature="defaults"), x=ONE, other=ONE),
            "Inputs contains invalid name. Used request inputs: x, request input: other,x",
        ),
        (
            request(spec("linear"), "z", x=ONE),
            "output tensor alias not found in signature: z Outputs expected to be in the set {y}.",
        ),
        (
            request(spec("types", signature="several"), "ints", "z", ints=ONE, floats=ONE, strings=ONE),
            "output tensor alias not found in signature: z Outputs expected to be in the set {floats,ints,strings}.",
        ),
        (request(spec("linear"), "y", "y", x=ONE), "duplicate output tensor alias: y"),
        # Inputs are looked at before outputs.
        (request(spec("linear"), "z", x=proto(types_pb2.DT_FLOAT, [-1])), "tensor parsing error: x"),
    ],
)
def test_what_is_sent_or_asked_for_is_not_in_the_signature(prediction, sent, message):
    assert error_of(prediction.Predict, sent) == (StatusCode.INVALID_ARGUMENT, message)


@pytest.mark.parametrize(
    "sent",
    [
        proto(types_pb2.DT_INVALID, [1], float_val=[1]),
        proto(types_pb2.DT_FLOAT_REF, [1], float_val=[1]),
        proto(types_pb2.DT_FLOAT, [-1], float_val=[1]),
        proto(types_pb2.DT_FLOAT, [2**62, 2**62]),
        proto(types_pb2.DT_FLOAT, [1] * 255, float_val=[1]),
        proto(types_pb2.DT_FLOAT, [2], tensor_content=b"\0\0\0\0"),
        proto(types_pb2.DT_FLOAT, [1], tensor_content=b"\0\0\0\0\0"),
        proto(types_pb2.DT_STRING, [2], tensor_content=b"\1a"),
        proto(types_pb2.DT_STRING, [1], tensor_content=b"\1ab"),
        proto(types_pb2.DT_INVALID, [0]),
    ],
    ids=lambda sent: str(sent)[:60],
)
def test_what_is_sent_is_no_tensor(prediction, sent):
    assert error_of(prediction.Predict, request(spec("linear"), x=sent)) == (
        StatusCode.INVALID_ARGUMENT,
        "tensor parsing error: x",
    )


def test_a_tensor_of_another_type(prediction):
    code, message = error_of(prediction.Predict, request(spec("linear"), x=tensor([b"one"], object)))

    assert (code, message) == (StatusCode.INVALID_ARGUMENT, "Expects arg[0] to be float but string is provided")


def test_an_operation_that_fails(prediction):
    code, message = error_of(prediction.Predict, request(spec("types", signature="checked"), x=tensor([float("nan")])))

    assert code == StatusCode.INVALID_ARGUMENT
    assert "x must be a number : Tensor had NaN values" in message


VALUES = {"string": [b"", b"\xff\0", "é".encode()], "bool": [True, False, True], "complex64": [1, 2j, -3 - 1j]}
DTYPES = {"string": object, "bfloat16": ml_dtypes.bfloat16}


@pytest.mark.parametrize("fill", [fill_values, fill_content])
@pytest.mark.parametrize("name", ECHOED)
def test_every_type_in_both_encodings(predict, name, fill):
    values = np.array(VALUES.get(name, [0, 1, 100]), DTYPES.get(name, name))
    sent = tensor_pb2.TensorProto()
    fill(sent, values)

    answer = predict(spec("types", signature=name), x=sent).outputs["y"]

    assert answer.dtype == sent.dtype
    assert answer.tensor_content == b""
    np.testing.assert_array_equal(to_array(answer), values)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 3), (2, 0, 3), (1, 1, 1, 1, 1)], ids=str)
def test_every_shape(predict, shape):
    answer = predict(spec("types"), x=tensor(np.zeros(shape))).outputs["y"]

    assert to_array(answer).shape == shape


@pytest.mark.parametrize(
    ("name", "sent", "expected"),
    [
        ("float32", proto(types_pb2.DT_FLOAT, [4], float_val=[1, 2]), [1, 2, 2, 2]),
        ("float32", proto(types_pb2.DT_FLOAT, [2], float_val=[1, 2, 3]), [1, 2]),
        ("float32", proto(types_pb2.DT_FLOAT, [2]), [0, 0]),
        ("float32", proto(types_pb2.DT_FLOAT, [0], float_val=[1]), []),
        ("float32", proto(types_pb2.DT_FLOAT, [0], tensor_content=b"\0"), []),
        ("float32", proto(types_pb2.DT_FLOAT, [1], float_val=[1], tensor_content=b"\0\0\0\0"), [0]),
        ("float32", proto(types_pb2.DT_FLOAT, [2], True, float_val=[1]), [1, 1]),
        ("float32", proto(types_pb2.DT_FLOAT, [], True, float_val=[1]), 1),
        ("float32", proto(types_pb2.DT_FLOAT, [2], int_val=[1, 2]), [0, 0]),
        ("string", proto(types_pb2.DT_STRING, [3], string_val=[b"a", b"b"]), [b"a", b"b", b"b"]),
        ("string", proto(types_pb2.DT_STRING, [2]), [b"", b""]),
        ("string", proto(types_pb2.DT_STRING, [2], tensor_content=b"\2\1abc"), [b"ab", b"c"]),
        ("float16", proto(types_pb2.DT_HALF, [2], half_val=[0x3C00]), [1, 1]),
        ("uint8", proto(types_pb2.DT_UINT8, [1], int_val=[257]), [1]),
        ("int8", proto(types_pb2.DT_INT8, [1], int_val=[200]), [-56]),
        ("bool", proto(types_pb2.DT_BOOL, [2], bool_val=[True]), [True, True]),
        ("complex64", proto(types_pb2.DT_COMPLEX64, [2], scomplex_val=[1, 2]), [1 + 2j, 1 + 2j]),
    ],
)
def test_values_that_are_missing_or_too_many(predict, name, sent, expected):
    """The last value is repeated, what is beyond the shape ignored."""
    np.testing.assert_array_equal(to_array(predict(spec("types", signature=name), x=sent).outputs["y"]), expected)


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"x": 2}, 6.5),
        ({"x": 2, "scale": 10}, 20.5),
        ({"x": 2, "shift": 1}, 7),
        ({"x": 2, "scale": 10, "shift": 1}, 21),
    ],
)
def test_defaults_stand_in_for_inputs(predict, inputs, expected):
    """y = x * scale + shift; scale is 3 and shift 0.5, unless they are sent."""
    tensors = {name: tensor(value) for name, value in inputs.items()}

    assert to_array(predict(spec("types", signature="defaults"), **tensors).outputs["y"]) == expected


def test_a_signature_of_another_method(predict):
    """Predict asks any: here the examples are its tensor."""
    example = example_pb2.Example()
    example.features.feature["x"].float_list.value.append(2)
    inputs = tensor([example.SerializeToString()] * 2, object)

    outputs = predict(spec("examples", signature="classify"), inputs=inputs).outputs

    assert {name: to_array(output).tolist() for name, output in outputs.items()} == {
        "classes": [[b"", b"!"]] * 2,
        "scores": [[2, 4]] * 2,
    }


def test_a_signature_without_inputs(predict):
    assert to_array(predict(spec("types", signature="constant")).outputs["y"]).tolist() == [42]


@pytest.mark.parametrize(
    ("chosen", "answered"),
    [
        ([], {"ints", "floats", "strings"}),
        (["ints"], {"ints"}),
        (["strings", "floats"], {"strings", "floats"}),
    ],
)
def test_outputs_can_be_chosen(predict, chosen, answered):
    inputs = {"ints": tensor([1], np.int64), "floats": tensor([1]), "strings": tensor([b"1"], object)}

    assert set(predict(spec("types", signature="several"), *chosen, **inputs).outputs) == answered


def test_messages_beyond_4_mebibytes(predict):
    values = np.arange(1_200_000, dtype=np.float32)

    np.testing.assert_array_equal(to_array(predict(spec("types"), x=tensor(values)).outputs["y"]), values)


def test_long_messages_are_cut(prediction):
    message = error_of(prediction.Predict, request(spec("linear", signature="x" * 2000)))[1]

    assert message == f'Serving signature key "{"x" * 2000}'[:1024] + "...TRUNCATED"


def test_bytes_make_a_message_long(prediction):
    """Two for each of these letters."""
    message = error_of(prediction.Predict, request(spec("linear", signature="é" * 600)))[1]

    assert message.endswith("...TRUNCATED")
