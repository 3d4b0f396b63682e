"""Predict on the toy model: logit = 0.1 · (length of user + age + item + number of genres)."""

import math

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from grpc import StatusCode
from tensorflow.core.framework import tensor_pb2, types_pb2

from serving.server.predict import predict
from serving.server.status import StatusError
from serving.tensor_proto import fill_content, to_array

EXAMPLE = """features {
    feature { key: "user" value { bytes_list { value: "ann" } } }
    feature { key: "age" value { float_list { value: 30 } } }
    feature { key: "item" value { int64_list { value: 10 } } }
    feature { key: "genres" value { bytes_list { value: "Drama" value: "War" } } } }"""


def test_rank_signature(toy, rank_request):
    """ann (3) + 30 + item + one genre (1): 34, 44 and 134 tenths."""
    response = predict(toy, rank_request([0, 10, 100]))

    logits = [3.4, 4.4, 13.4]
    np.testing.assert_allclose(to_array(response.outputs["logit"]), logits, rtol=1e-6)
    np.testing.assert_allclose(
        to_array(response.outputs["probability"]), [1 / (1 + math.exp(-x)) for x in logits], rtol=1e-6
    )
    assert (response.model_spec.name, response.model_spec.version.value) == ("toy", 1)
    assert response.model_spec.signature_name == "rank"


def test_default_signature(toy, rank_request):
    """ann (3) + 30 + 10 + two genres: 45 tenths; all missing: 0."""
    request = rank_request([])
    request.model_spec.signature_name = ""
    request.inputs.clear()
    examples = np.array([text_format.Parse(EXAMPLE, tf.train.Example()).SerializeToString(), b""], object)
    fill_content(request.inputs["examples"], examples)

    response = predict(toy, request)

    np.testing.assert_allclose(to_array(response.outputs["logit"]), [4.5, 0.0], rtol=1e-6)
    np.testing.assert_allclose(to_array(response.outputs["probability"]), [1 / (1 + math.exp(-4.5)), 0.5], rtol=1e-6)
    assert response.model_spec.signature_name == "serving_default"


def test_both_encodings_mean_the_same(toy, rank_request):
    """Items as values, too few for the shape, and the user as bytes with a varint length before them."""
    request = rank_request([])
    request.inputs["item"].CopyFrom(
        tensor_pb2.TensorProto(dtype=types_pb2.DT_INT64, tensor_shape=tf.TensorShape([3]).as_proto(), int64_val=[0, 10])
    )
    request.inputs["user"].CopyFrom(
        tensor_pb2.TensorProto(
            dtype=types_pb2.DT_STRING, tensor_shape=tf.TensorShape([1]).as_proto(), tensor_content=b"\x03ann"
        )
    )

    np.testing.assert_allclose(to_array(predict(toy, request).outputs["logit"]), [3.4, 4.4, 4.4], rtol=1e-6)


def test_output_filter(toy, rank_request):
    request = rank_request([0])
    request.output_filter.append("logit")

    assert list(predict(toy, request).outputs) == ["logit"]


def test_every_type_goes_through(toy, rank_request):
    request = rank_request([])
    request.model_spec.signature_name = "echo"
    request.inputs.clear()
    arrays = {
        "strings": np.array([b"", "é".encode(), b"\x00"], object),
        "floats": np.array([[1.5, np.inf]], np.float32),
        "ints": np.array([-(2**63)], np.int64),
        "flag": np.array(True),
        "halves": np.array([0.5, 3]).astype(tf.bfloat16.as_numpy_dtype),
    }
    for name, array in arrays.items():
        fill_content(request.inputs[name], array)

    outputs = predict(toy, request).outputs

    for name, array in arrays.items():
        np.testing.assert_array_equal(to_array(outputs[name]), array)
        assert to_array(outputs[name]).dtype == array.dtype


def no_signature(request):
    request.model_spec.signature_name = "rnk"


def one_missing(request):
    del request.inputs["age"]


def one_too_many(request):
    request.inputs["year"].CopyFrom(request.inputs["age"])


def wrong_name(request):
    request.inputs["aeg"].CopyFrom(request.inputs["age"])
    del request.inputs["age"]


def not_a_tensor(request):
    request.inputs["age"].tensor_content = b"abc"


def unknown_output(request):
    request.output_filter.append("score")


def output_twice(request):
    request.output_filter.extend(["logit", "logit"])


@pytest.mark.parametrize(
    ("spoil", "code", "message"),
    [
        (no_signature, StatusCode.FAILED_PRECONDITION, 'Serving signature key "rnk" not found.'),
        (
            one_missing,
            StatusCode.INVALID_ARGUMENT,
            "input size does not match signature: 3!=4 len({genres,item,user}) != len({age,genres,item,user}). "
            "Sent extra: {}. Missing but required: {age}.",
        ),
        (
            one_too_many,
            StatusCode.INVALID_ARGUMENT,
            "input size does not match signature: 5!=4 len({age,genres,item,user,year}) != "
            "len({age,genres,item,user}). Sent extra: {year}. Missing but required: {}.",
        ),
        (
            wrong_name,
            StatusCode.INVALID_ARGUMENT,
            "Signature input alias: age(feed name: rank_age:0) not found in request and no default value provided. "
            "Inputs expected to be in the request {aeg,genres,item,user}, or default input alias set: ",
        ),
        (not_a_tensor, StatusCode.INVALID_ARGUMENT, "tensor parsing error: age"),
        (
            unknown_output,
            StatusCode.INVALID_ARGUMENT,
            "output tensor alias not found in signature: score Outputs expected to be in the set {logit,probability}.",
        ),
        (output_twice, StatusCode.INVALID_ARGUMENT, "duplicate output tensor alias: logit"),
    ],
)
def test_wrong_requests(toy, rank_request, spoil, code, message):
    request = rank_request([1])
    spoil(request)

    with pytest.raises(StatusError) as error:
        predict(toy, request)

    assert (error.value.code, error.value.message) == (code, message)


def test_wrong_type(toy, rank_request):
    with pytest.raises(StatusError, match=r"Expects arg\[2\] to be int64 but float is provided") as error:
        predict(toy, rank_request([], item=np.array([1.0], np.float32)))

    assert error.value.code == StatusCode.INVALID_ARGUMENT


def test_sizes_that_do_not_fit(toy, rank_request):
    with pytest.raises(StatusError, match=r"Incompatible shapes: \[3\] vs\. \[2\]") as error:
        predict(toy, rank_request([1, 2, 3], age=np.array([1, 2], np.float32)))

    assert error.value.code == StatusCode.INVALID_ARGUMENT
