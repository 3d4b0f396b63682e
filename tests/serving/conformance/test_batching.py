"""Requests that are computed together: TF Serving's batching/batching_{session,util}.cc and bundle_factory_util.cc.

The model's batches have 2 or 4 rows; smaller ones are padded.
"""

import numpy as np
import pytest
from grpc import StatusCode
from tensorflow_serving.apis import predict_pb2

from serving.tensor_proto import fill_values, to_array
from tests.serving.asking import TIMEOUT_S, error_of
from tests.serving.conformance.conftest import spec


def request(signature="", *output_filter, **inputs):
    result = predict_pb2.PredictRequest(model_spec=spec("batched", signature=signature), output_filter=output_filter)
    for name, values in inputs.items():
        fill_values(result.inputs[name], np.array(values, np.float32))
    return result


@pytest.mark.parametrize(("count", "computed"), [(1, 2), (2, 2), (3, 4), (4, 4)])
@pytest.mark.parametrize("chosen", [[], ["y", "rows"]])
def test_batches_are_filled_up(prediction, count, computed, chosen):
    x = np.arange(count, dtype=np.float32)
    outputs = prediction.Predict(request("", *chosen, x=x), timeout=TIMEOUT_S).outputs

    assert to_array(outputs["y"]).tolist() == (x / 2).tolist()
    assert to_array(outputs["rows"]).tolist() == [computed] * count


def test_outputs_can_be_chosen(prediction):
    outputs = prediction.Predict(request("", "rows", x=[1]), timeout=TIMEOUT_S).outputs

    assert {name: to_array(output).tolist() for name, output in outputs.items()} == {"rows": [2]}


def test_each_gets_its_own_answer(prediction):
    asked = [[number] for number in range(32)]
    answers = [prediction.Predict.future(request(x=x), timeout=TIMEOUT_S) for x in asked]

    assert [to_array(answer.result().outputs["y"]).tolist() for answer in answers] == [[x / 2] for (x,) in asked]


def test_over_rest(rest):
    answer = rest.post("/v1/models/batched:predict", {"instances": [2, 4, 6]})

    assert answer.json == {"predictions": [{"y": y, "rows": 4} for y in (1, 2, 3)]}


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (
            request(x=range(5)),
            StatusCode.INVALID_ARGUMENT,
            "Task size 5 is larger than maximum input batch size 4",
        ),
        (request(x=1), StatusCode.INVALID_ARGUMENT, "Batching Run() input tensors must have at least one dimension"),
        (
            request("pair", x=[1, 2], z=[1]),
            StatusCode.INVALID_ARGUMENT,
            "Batching Run() input tensors must have equal 0th-dimension size",
        ),
        (request("constant"), StatusCode.INVALID_ARGUMENT, "Batching Run() must have at least one input tensor"),
        (request("sum", x=[1]), StatusCode.FAILED_PRECONDITION, "Batched output tensor has 0 dimensions"),
        (
            request("first", x=[1, 2]),
            StatusCode.FAILED_PRECONDITION,
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input "
            "tensors",
        ),
        # What a request says of signature and inputs is looked at before.
        (request("other", x=1), StatusCode.FAILED_PRECONDITION, 'Serving signature key "other" not found.'),
        (
            request("", "z", x=1),
            StatusCode.INVALID_ARGUMENT,
            "output tensor alias not found in signature: z Outputs expected to be in the set {rows,y}.",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_batched(prediction, request_, code, message):
    assert error_of(prediction.Predict, request_) == (code, message)
