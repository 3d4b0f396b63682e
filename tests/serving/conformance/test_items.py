"""Models that know the items of a ranking, and its contexts: their signatures `rank_ids` and `recommend`.

The model is `tests.serving.conformance.ranker`. For Ann, two years old, the logits of b1 to b4 are 1 + 10 + 1 = 12,
2 + 1 = 3, 3 + 1 = 4 and 4 + 1 = 5, and those of other books -1 + 1 = 0; for Bob, as old, that of b1 is 2. Where a
message is not TensorFlow's or TF Serving's, the model says it.
"""

import math
import re

import numpy as np
import pytest
from grpc import StatusCode
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2

from serving.tensor_proto import fill_values, to_array
from tests.serving.asking import TIMEOUT_S, error_of
from tests.serving.conformance.conftest import spec

DTYPES = {"user": object, "age": np.float32, "items": object, "k": np.int32, "exclude": object, "book": object}
ANN = {"user": [b"ann"], "age": [2]}
PREDICT = "/v1/models/ranker:predict"
MISSING_INPUT = r"Signature input alias: {}\(feed name: .*\) not found in request and no default value provided"


def request(signature, *output_filter, model="ranker", **inputs):
    result = predict_pb2.PredictRequest(model_spec=spec(model, signature=signature), output_filter=output_filter)
    for name, values in inputs.items():
        array = values if isinstance(values, np.ndarray) else np.array(values, DTYPES.get(name, object))
        fill_values(result.inputs[name], array)
    return result


@pytest.fixture
def ask(prediction):
    def ask(*args, **inputs):
        response = prediction.Predict(request(*args, **inputs), timeout=TIMEOUT_S)
        return {name: to_array(proto).tolist() for name, proto in response.outputs.items()}

    return ask


def test_metadata_says_what_to_send_and_what_may_be_left_out(prediction):
    asked = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec("ranker"), metadata_field=["signature_def"])
    found = get_model_metadata_pb2.SignatureDefMap()
    prediction.GetModelMetadata(asked, timeout=TIMEOUT_S).metadata["signature_def"].Unpack(found)
    rank_ids, recommend = (found.signature_def[name] for name in ("rank_ids", "recommend"))

    assert {name: (info.dtype, len(info.tensor_shape.dim)) for name, info in rank_ids.inputs.items()} == {
        "user": (types_pb2.DT_STRING, 1),
        "age": (types_pb2.DT_FLOAT, 1),
        "items": (types_pb2.DT_STRING, 1),
    }
    assert {name: (info.dtype, len(info.tensor_shape.dim)) for name, info in recommend.inputs.items()} == {
        "user": (types_pb2.DT_STRING, 1),
        "age": (types_pb2.DT_FLOAT, 1),
        "k": (types_pb2.DT_INT32, 0),
        "exclude": (types_pb2.DT_STRING, 1),
    }
    assert set(rank_ids.outputs) == {"logit", "probability", "known"}
    assert set(recommend.outputs) == {"items", "titles", "logit", "probability"}
    assert (set(rank_ids.defaults), set(recommend.defaults)) == ({"age"}, {"age", "k", "exclude"})
    assert {rank_ids.method_name, recommend.method_name} == {"tensorflow/serving/predict"}


def test_metadata_over_rest(rest):
    content = rest.get("/v1/models/ranker/metadata").json
    signatures = content["metadata"]["signature_def"]["signature_def"]

    assert signatures["rank_ids"]["inputs"].keys() == {"user", "age", "items"}
    assert signatures["recommend"]["inputs"].keys() == {"user", "age", "k", "exclude"}


# Some items, by their ids.


def test_items_are_answered_in_the_order_of_their_ids(ask):
    answer = ask("rank_ids", **ANN, items=[b"b2", b"b1", b"another", b"b2"])

    assert answer["logit"] == pytest.approx([3, 12, 0, 3])
    assert answer["probability"] == pytest.approx([1 / (1 + math.exp(-logit)) for logit in (3, 12, 0, 3)])
    assert answer["known"] == [True, True, False, True]


def test_ids_get_the_answers_of_their_columns(ask):
    books = [b"b1", b"b2", b"b3", b"b4", b"another"]
    by_id, by_column = ask("rank_ids", **ANN, items=books), ask("rank", **ANN, book=books)

    assert by_id["logit"] == pytest.approx(by_column["logit"])
    assert by_column["logit"] == pytest.approx([12, 3, 4, 5, 0])


def test_a_context_for_each_item(ask):
    answer = ask("rank_ids", user=[b"ann", b"bob"], age=[2, 4], items=[b"b1", b"b1"])

    assert answer["logit"] == pytest.approx([12, 1 + 2])


def test_no_items(ask):
    assert ask("rank_ids", **ANN, items=[]) == {"logit": [], "probability": [], "known": []}


# The best of all.


@pytest.mark.parametrize(
    ("inputs", "items"),
    [
        (ANN, ["b1", "b4", "b3", "b2"]),
        ({**ANN, "user": [b"bob"]}, ["b4", "b3", "b2", "b1"]),
        ({**ANN, "k": 2}, ["b1", "b4"]),
        ({**ANN, "k": 10_000}, ["b1", "b4", "b3", "b2"]),
        ({**ANN, "exclude": [b"b4", b"another"]}, ["b1", "b3", "b2"]),
        ({**ANN, "exclude": [b"b1", b"b1"], "k": 1}, ["b4"]),
        ({**ANN, "exclude": []}, ["b1", "b4", "b3", "b2"]),
        # All that there is, so nothing is left.
        ({**ANN, "exclude": [b"b1", b"b2", b"b3", b"b4"]}, []),
    ],
    ids=str,
)
def test_the_best_come_first(ask, inputs, items):
    """Without `k` there are at most 10, without `exclude` all may come."""
    logits = {"b1": 12 if inputs["user"] == [b"ann"] else 2, "b2": 3, "b3": 4, "b4": 5}
    answer = ask("recommend", **inputs)

    assert answer["items"] == [item.encode() for item in items]
    assert answer["titles"] == [f"Book {item[1:]}".encode() for item in items]
    assert answer["logit"] == pytest.approx([logits[item] for item in items])


def test_outputs_can_be_chosen(ask):
    assert ask("recommend", "items", **ANN, k=1) == {"items": [b"b1"]}


# Contexts that the model knows.


@pytest.mark.parametrize(
    ("context", "logit"),
    [
        ({"user": [b"ann"]}, 4 + 1),
        ({"user": [b"bob"]}, 4 + 3),
        ({"user": [b"bob"], "age": [4]}, 4 + 2),
        ({"user": [b"bob"], "age": [math.nan]}, 4),
        ({"user": [b"eve"]}, 4),
    ],
    ids=str,
)
def test_what_is_left_out_of_a_context_is_as_the_model_knows_it(ask, context, logit):
    """What is sent goes before, even if it is missing. Of Eve the model knows nothing."""
    assert ask("rank_ids", **context, items=[b"b4"])["logit"] == pytest.approx([logit])
    assert ask("recommend", **context, k=1, exclude=[b"b1"])["logit"] == pytest.approx([logit])


def test_several_known_contexts(ask):
    answer = ask("rank_ids", user=[b"ann", b"bob", b"eve"], items=[b"b2", b"b2", b"b2"])

    assert answer["logit"] == pytest.approx([2 + 1, 2 + 3, 2])


# What does not fit.


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (request("recommend"), MISSING_INPUT.format("user")),
        (request("recommend", age=[2], k=2, exclude=[]), MISSING_INPUT.format("user")),
        (request("rank_ids", items=[b"b1"]), MISSING_INPUT.format("user")),
        (request("rank_ids", **ANN), MISSING_INPUT.format("items")),
        (request("recommend", **ANN, itmes=[b"b1"]), "Inputs contains invalid name.*itmes"),
        (request("recommend", **ANN, k=0), r"k: expected 1 to 10,000, received\] \[0\]"),
        (request("recommend", **ANN, k=-1), r"k: expected 1 to 10,000, received\] \[-1\]"),
        (request("recommend", **ANN, k=10_001), r"k: expected 1 to 10,000, received\] \[10001\]"),
        (request("recommend", **ANN, k=np.array(2, np.int64)), "to be int32 but int64 is provided"),
        (request("recommend", **ANN, k=[2]), r"k.* \[1\] is not compatible with expected shape \[\]"),
        (request("recommend", **ANN, exclude=b"b1"), r"exclude.* \[\] is not compatible with expected shape \[\?\]"),
        (
            request("recommend", **ANN, exclude=[[b"b1", b"b2"]]),
            r"exclude.* \[1,2\] is not compatible with expected shape \[\?\]",
        ),
        (request("rank_ids", **ANN, items=[[b"b1"]]), r"items.* \[1,1\] is not compatible with expected shape \[\?\]"),
        (
            request("recommend", **ANN, exclude=[b"b1"] * 5),
            r"exclude: expected no more ids than the catalogue has, 4, received\] \[5\]",
        ),
        (request("recommend", **ANN, exclude=np.array([1])), "to be string but int64 is provided"),
        (request("rank_ids", **ANN, items=np.array([1])), "to be string but int64 is provided"),
        (request("recommend", **{**ANN, "user": np.array([1])}), "to be string but int64 is provided"),
        (request("recommend", **{**ANN, "user": []}), "context: expected one row of each column, received"),
        (request("recommend", user=[b"ann", b"bob"], age=[1, 2]), "context: expected one row of each column, received"),
        (request("rank_ids", user=[b"ann", b"bob"], age=[1, 2], items=[b"b1", b"b2", b"b3"]), ""),
    ],
)
def test_what_does_not_fit(prediction, sent, message):
    code, received = error_of(prediction.Predict, sent)

    assert code == StatusCode.INVALID_ARGUMENT
    assert re.search(message, received)


# REST.


def test_items_by_column_over_rest(rest):
    body = {"signature_name": "rank_ids", "inputs": {"user": ["ann"], "age": [2], "items": ["b2", "another"]}}
    answer = rest.post(PREDICT, body)
    outputs = answer.json["outputs"]

    assert (answer.status, outputs.keys()) == (200, {"logit", "probability", "known"})
    assert (outputs["logit"], outputs["known"]) == (pytest.approx([3, 0]), [True, False])


def test_items_by_row_over_rest(rest):
    """A row has the context's columns, too."""
    rows = [{"user": "ann", "age": 2, "items": "b1"}, {"user": "bob", "age": 2, "items": "another"}]
    answer = rest.post(PREDICT, {"signature_name": "rank_ids", "instances": rows})

    assert answer.status == 200
    assert [(row["logit"], row["known"]) for row in answer.json["predictions"]] == [
        (pytest.approx(12), True),
        (pytest.approx(0), False),
    ]


@pytest.mark.parametrize(
    ("k", "exclude", "expected"),
    [
        (2, [], {"items": ["b1", "b4"], "titles": ["Book 1", "Book 4"], "logit": [12, 5]}),
        (10, ["b1", "b4"], {"items": ["b3", "b2"], "titles": ["Book 3", "Book 2"], "logit": [4, 3]}),
        (10, ["b1", "b2", "b3", "b4"], {"items": [], "titles": [], "logit": []}),
    ],
)
def test_the_best_over_rest(rest, k, exclude, expected):
    inputs = {"user": ["ann"], "age": [2], "k": k, "exclude": exclude}
    answer = rest.post(PREDICT, {"signature_name": "recommend", "inputs": inputs})
    outputs = answer.json["outputs"]

    assert answer.status == 200
    assert len(outputs.pop("probability")) == len(expected["items"])
    assert outputs == {**expected, "logit": pytest.approx(expected["logit"])}


def test_a_context_that_is_left_out_over_rest(rest):
    """Defaults are not for REST, but what they are can be sent: nothing."""
    inputs = {"user": ["bob"], "age": [], "k": 1, "exclude": []}
    answer = rest.post(PREDICT, {"signature_name": "recommend", "inputs": inputs})

    assert answer.json["outputs"]["logit"] == pytest.approx([4 + 3])


COLUMNS = {"user": ["ann"], "age": [2], "k": 2, "exclude": []}
ROW = {"user": "ann", "age": 2, "k": 2, "exclude": "b1"}


@pytest.mark.parametrize(
    ("signature", "body", "message"),
    [
        # Defaults are not for REST.
        ("recommend", {"inputs": {"user": ["ann"]}}, "Missing named input: (age|k|exclude) in 'inputs' object."),
        ("recommend", {"inputs": {"k": 2, "exclude": []}}, "Missing named input: (user|age) in 'inputs' object."),
        ("recommend", {"inputs": {**COLUMNS, "k": 0}}, r"k: expected 1 to 10,000, received\] \[0\]"),
        ("recommend", {"inputs": {**COLUMNS, "k": "2"}}, 'JSON Value: "2" Type: String is not of expected type: int32'),
        ("recommend", {"inputs": {**COLUMNS, "exclude": [1]}}, "Type: Number is not of expected type: string"),
        (
            "recommend",
            {"inputs": {**COLUMNS, "exclude": ["b1"] * 5}},
            r"exclude: expected no more ids than the catalogue has, 4, received\] \[5\]",
        ),
        ("rank_ids", {"inputs": {"user": ["ann"], "age": [2], "items": [1]}}, "is not of expected type: string"),
        # A row has a k and an exclude of its own, and recommend takes one k and all that is excluded.
        ("recommend", {"instances": [ROW]}, r"k.* \[1\] is not compatible with expected shape \[\]"),
        ("recommend", {"instances": [{**ROW, "exclude": ["b1"]}]}, "is not compatible with expected shape"),
        ("recommend", {"instances": [{"user": "ann", "age": 2}]}, "keys must be equal to: age,exclude,k,user"),
    ],
)
def test_what_does_not_fit_over_rest(rest, signature, body, message):
    answer = rest.post(PREDICT, {"signature_name": signature, **body})

    assert answer.status == 400
    assert re.search(message, answer.error)


# With batching.


def test_items_in_a_batch(ask):
    """A row of the context for each item."""
    answer = ask("rank_ids", model="batched_ranker", user=[b"ann"] * 3, age=[2] * 3, items=[b"b1", b"b2", b"another"])

    assert answer["logit"] == pytest.approx([12, 3, 0])
    assert answer["known"] == [True, True, False]


@pytest.mark.parametrize(
    "sent",
    [
        request("recommend", model="batched_ranker", **ANN),
        request("recommend", model="batched_ranker", **ANN, k=1, exclude=[b"b1"]),
        request("rank_ids", model="batched_ranker", **ANN, items=[b"b1", b"b2"]),
    ],
)
def test_batches_need_a_row_for_each_example(prediction, sent):
    code, message = error_of(prediction.Predict, sent)

    assert code == StatusCode.INVALID_ARGUMENT
    assert message.startswith("Batching Run() input tensors must have ")
