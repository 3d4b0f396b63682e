"""Regress on the toy model, and its checks on models that are not made for it."""

import numpy as np
import pytest
from google.protobuf import text_format
from grpc import StatusCode
from tensorflow_serving.apis import regression_pb2

from serving.server.regress import regress
from serving.server.status import StatusError

TWO_ITEMS = """example_list {
    examples { features { feature { key: "item" value { int64_list { value: 10 } } } } }
    examples { features { feature { key: "item" value { int64_list { value: -5 } } } } } }"""


def request(signature: str = "regress", text: str = TWO_ITEMS) -> regression_pb2.RegressionRequest:
    return text_format.Parse(
        f'model_spec {{ name: "toy" signature_name: "{signature}" }} input {{ {text} }}',
        regression_pb2.RegressionRequest(),
    )


def test_examples_get_their_values(toy):
    """0.1 · 10 and 0.1 · -5."""
    response = regress(toy, request())

    assert [regression.value for regression in response.result.regressions] == pytest.approx([1.0, -0.5])
    assert (response.model_spec.version.value, response.model_spec.signature_name) == (1, "regress")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (request("reg"), "No signature was found with the name: reg"),
        (request("rank"), "Expected one input Tensor."),
        (request("classify"), "Expected one output Tensor."),
        (request(text=""), "Input is empty."),
    ],
)
def test_wrong_requests(toy, asked, message):
    with pytest.raises(StatusError) as error:
        regress(toy, asked)

    assert (error.value.code, error.value.message) == (StatusCode.INVALID_ARGUMENT, message)


class Pretender:
    """The toy model with another output, or other names."""

    def __init__(self, toy, values=None, inputs="inputs", outputs="outputs"):
        self.id = toy.id
        definition = type(toy.signature_defs["regress"])()
        definition.inputs[inputs].name = "inputs:0"
        definition.outputs[outputs].name = "outputs:0"
        self.signature_defs = {"regress": definition}
        self.values = values

    def run(self, signature, inputs, outputs, timeout_s):
        return [self.values]


def test_a_column_is_as_good_as_a_vector(toy):
    response = regress(Pretender(toy, np.array([[1], [2]], np.float32)), request())

    assert [regression.value for regression in response.result.regressions] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            np.zeros([2, 3], np.float32),
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [2,3]",
        ),
        (np.zeros([3], np.float32), "Input batch size did not match output batch size: 2 vs. 3"),
        (np.zeros([2]), "Expected output Tensor of DT_FLOAT.  Got: DT_DOUBLE"),
    ],
)
def test_outputs_that_are_no_regression(toy, values, message):
    with pytest.raises(StatusError) as error:
        regress(Pretender(toy, values), request())

    assert (error.value.code, error.value.message) == (StatusCode.INVALID_ARGUMENT, message)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"inputs": "examples"}, "No regression inputs found in SignatureDef: "),
        ({"outputs": "logit"}, "No regression outputs found in SignatureDef: "),
    ],
)
def test_other_names(toy, names, message):
    with pytest.raises(StatusError) as error:
        regress(Pretender(toy, **names), request())

    assert error.value.message.startswith(message)
