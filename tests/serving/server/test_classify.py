"""Classify on the toy model, and its checks on models that are not made for it."""

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from grpc import StatusCode
from tensorflow_serving.apis import classification_pb2

from serving.server.classify import classify
from serving.server.status import StatusError

ANN = """features { feature { key: "user" value { bytes_list { value: "ann" } } }
                    feature { key: "age" value { float_list { value: 30 } } } }"""
ITEM = """features { feature { key: "item" value { int64_list { value: 10 } } } }"""
ITEM_OF_A_CHILD = """features { feature { key: "item" value { int64_list { value: 10 } } }
                                feature { key: "age" value { float_list { value: 6 } } } }"""


def request(text: str) -> classification_pb2.ClassificationRequest:
    return text_format.Parse(
        f'model_spec {{ name: "toy" signature_name: "classify" }} input {{ {text} }}',
        classification_pb2.ClassificationRequest(),
    )


def scores(response: classification_pb2.ClassificationResponse) -> list[float]:
    return [classifications.classes[1].score for classifications in response.result.classifications]


def sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


def test_examples_get_their_classes(toy):
    """ann, 30: logit 0.1 · (3 + 30) = 3.3; item 10 alone: 1.0."""
    response = classify(toy, request(f"example_list {{ examples {{ {ANN} }} examples {{ {ITEM} }} }}"))

    assert [[c.label for c in row.classes] for row in response.result.classifications] == [["0", "1"]] * 2
    assert scores(response) == pytest.approx([sigmoid(3.3), sigmoid(1.0)])
    assert response.result.classifications[1].classes[0].score == pytest.approx(1 - sigmoid(1.0))
    assert (response.model_spec.version.value, response.model_spec.signature_name) == (1, "classify")


def test_a_context_is_shared_and_an_examples_own_feature_wins(toy):
    """ann, 30, item 10: 4.3; with 6 years instead: 1.9."""
    response = classify(
        toy,
        request(
            f"example_list_with_context {{ context {{ {ANN} }} "
            f"examples {{ {ITEM} }} examples {{ {ITEM_OF_A_CHILD} }} }}"
        ),
    )

    assert scores(response) == pytest.approx([sigmoid(4.3), sigmoid(1.9)])


@pytest.mark.parametrize("text", ["", "example_list {}", f"example_list_with_context {{ context {{ {ANN} }} }}"])
def test_no_examples(toy, text):
    with pytest.raises(StatusError, match=r"^Input is empty\.$") as error:
        classify(toy, request(text))

    assert error.value.code == StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("cls", "No signature was found with the name: cls"),
        ("rank", "Expected one input Tensor."),
        ("serving_default", "No classification inputs found in SignatureDef: "),
        (
            "regress",
            'Expected classification signature outputs to contain at least one of "classes" or "scores". '
            "Signature was: ",
        ),
    ],
)
def test_other_signatures(toy, signature, message):
    asked = request(f"example_list {{ examples {{ {ANN} }} }}")
    asked.model_spec.signature_name = signature

    with pytest.raises(StatusError) as error:
        classify(toy, asked)

    assert error.value.code == StatusCode.INVALID_ARGUMENT
    assert error.value.message.startswith(message)


class Pretender:
    """The toy model with other outputs."""

    def __init__(self, toy, **outputs):
        self.id = toy.id
        definition = type(toy.signature_defs["classify"])()
        definition.inputs["inputs"].name = "inputs:0"
        for name in outputs:
            definition.outputs[name].name = name
        self.signature_defs = {"classify": definition}
        self.outputs = outputs

    def run(self, signature, inputs, outputs, timeout_s):
        return [self.outputs[name] for name in outputs]


LABELS = np.array([[b"0", b"1"]], object)
SCORES = np.array([[0.25, 0.75]], np.float32)


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [({"scores": SCORES}, [("", 0.25), ("", 0.75)]), ({"classes": LABELS}, [("0", 0.0), ("1", 0.0)])],
)
def test_labels_or_scores_alone(toy, outputs, expected):
    response = classify(Pretender(toy, **outputs), request(f"example_list {{ examples {{ {ANN} }} }}"))

    assert [(c.label, c.score) for c in response.result.classifications[0].classes] == expected


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"scores": SCORES[0]}, "Expected Tensor shape: [batch_size num_classes] but got [2]"),
        ({"scores": SCORES.astype(np.float64)}, "Expected scores Tensor of DT_FLOAT. Got: DT_DOUBLE"),
        ({"classes": SCORES}, "Expected classes Tensor of DT_STRING. Got: DT_FLOAT"),
        ({"scores": SCORES.repeat(3, axis=0)}, "Expected scores output batch size of 1. Got: 3"),
        (
            {"classes": LABELS, "scores": SCORES[:, :1]},
            "Tensors class and score should match in dim_size(1). Got 2 vs. 1",
        ),
        ({"a": LABELS, "b": LABELS, "c": LABELS}, "Expected one or two output Tensors, found 3"),
    ],
)
def test_outputs_that_are_no_classes(toy, outputs, message):
    with pytest.raises(StatusError) as error:
        classify(Pretender(toy, **outputs), request(f"example_list {{ examples {{ {ANN} }} }}"))

    assert (error.value.code, error.value.message) == (StatusCode.INVALID_ARGUMENT, message)


def test_method_names_of_the_toy_model_are_tf_servings(toy):
    names = {name: toy.signature_defs[name].method_name for name in ("classify", "regress", "rank")}

    assert names == {
        "classify": tf.saved_model.CLASSIFY_METHOD_NAME,
        "regress": tf.saved_model.REGRESS_METHOD_NAME,
        "rank": tf.saved_model.PREDICT_METHOD_NAME,
    }
