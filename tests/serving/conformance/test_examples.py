"""Classify, Regress and MultiInference: TF Serving's classifier.cc, regressor.cc, multi_inference.cc and util.cc."""

import pytest
from grpc import StatusCode
from tensorflow.core.example import example_pb2
from tensorflow_serving.apis import classification_pb2, inference_pb2, input_pb2, regression_pb2

from tests.serving.asking import TIMEOUT_S, error_of
from tests.serving.conformance.conftest import spec

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


def example(x=None, name=None):
    result = example_pb2.Example()
    if x is not None:
        result.features.feature["x"].float_list.value.append(x)
    if name is not None:
        result.features.feature["name"].bytes_list.value.append(name)
    return result


def listed(*examples, context=None):
    if context is None:
        return input_pb2.Input(example_list={"examples": examples})
    return input_pb2.Input(example_list_with_context={"examples": examples, "context": context})


TWO = listed(example(2, b"a"), example(4, b"b"))


def classification(signature="classify", input=TWO, name="examples", **spec_):
    return classification_pb2.ClassificationRequest(model_spec=spec(name, signature=signature, **spec_), input=input)


def regression(signature="", input=TWO, name="examples", **spec_):
    return regression_pb2.RegressionRequest(model_spec=spec(name, signature=signature, **spec_), input=input)


def task(signature, method, name="examples", **spec_):
    model_spec = spec(name, signature=signature, **spec_)
    return inference_pb2.InferenceTask(model_spec=model_spec, method_name=method)


def tasks(*tasks, input=TWO):
    return inference_pb2.MultiInferenceRequest(tasks=tasks, input=input)


def classes(result):
    return [[(one.label, one.score) for one in each.classes] for each in result.classifications]


def values(result):
    return [each.value for each in result.regressions]


# scores = [x, 2 x], classes = [name, name!], outputs = x / 2 + 2.


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        ("classify", [[("a", 2), ("a!", 4)], [("b", 4), ("b!", 8)]]),
        ("only_scores", [[("", 2), ("", 4)], [("", 4), ("", 8)]]),
        ("only_classes", [[("a", 0), ("a!", 0)], [("b", 0), ("b!", 0)]]),
    ],
)
def test_classify(prediction, signature, expected):
    response = prediction.Classify(classification(signature), timeout=TIMEOUT_S)

    assert classes(response.result) == expected
    assert response.model_spec == spec("examples", 1, signature=signature)


@pytest.mark.parametrize(("signature", "resolved"), [("", "serving_default"), ("one_column", "one_column")])
def test_regress(prediction, signature, resolved):
    response = prediction.Regress(regression(signature), timeout=TIMEOUT_S)

    assert values(response.result) == [3, 4]
    assert response.model_spec == spec("examples", 1, signature=resolved)


@pytest.mark.parametrize(
    ("input", "expected"),
    [
        (listed(example(2), context=example(4)), [3]),
        (listed(example(), context=example(4)), [4]),
        (listed(example(2), example(), example(6), context=example(4)), [3, 4, 5]),
        (listed(example(2), context=example()), [3]),
        (listed(example()), [2]),
    ],
)
def test_an_examples_feature_wins_over_the_contexts(prediction, input, expected):
    assert values(prediction.Regress(regression(input=input), timeout=TIMEOUT_S).result) == expected


def test_the_context_is_for_classify_too(prediction):
    request = classification(input=listed(example(2), example(name=b"b"), context=example(8, b"a")))

    assert classes(prediction.Classify(request, timeout=TIMEOUT_S).result) == [
        [("a", 2), ("a!", 4)],
        [("b", 8), ("b!", 16)],
    ]


METHODS = ["Classify", "Regress"]


def of_method(method, *args, **kwargs):
    return (classification if method == "Classify" else regression)(*args, **kwargs)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "input", [input_pb2.Input(), listed(), listed(context=example(2)), listed(context=example())], ids=str
)
def test_no_examples(prediction, method, input):
    request = of_method(method, "classify" if method == "Classify" else "", input=input)

    assert error_of(getattr(prediction, method), request) == (StatusCode.INVALID_ARGUMENT, "Input is empty.")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        ({"name": ""}, StatusCode.INVALID_ARGUMENT, "ModelSpec has no name specified."),
        ({"name": "nobody"}, StatusCode.NOT_FOUND, "Servable not found for request: Latest(nobody)"),
        ({"version": 9}, StatusCode.NOT_FOUND, "Servable not found for request: Specific(examples, 9)"),
        ({"label": "best"}, StatusCode.INVALID_ARGUMENT, "Unrecognized servable version label: best"),
        ({"signature": "other"}, StatusCode.INVALID_ARGUMENT, "No signature was found with the name: other"),
        (
            {"name": "named", "signature": ""},
            StatusCode.INVALID_ARGUMENT,
            "No signature was found with the name: serving_default",
        ),
        ({"signature": "two_inputs"}, StatusCode.INVALID_ARGUMENT, "Expected one input Tensor."),
        # The signature is looked at before the examples.
        ({"signature": "other", "input": listed()}, StatusCode.INVALID_ARGUMENT, "No signature was found with the "),
        ({"signature": "two_inputs", "input": listed()}, StatusCode.INVALID_ARGUMENT, "Expected one input Tensor."),
        # This one's input is called x.
        ({"name": "linear", "signature": ""}, StatusCode.INVALID_ARGUMENT, "No {} inputs found in SignatureDef: "),
        ({"signature": "unknown_input"}, StatusCode.INVALID_ARGUMENT, "No {} inputs found in SignatureDef: "),
    ],
    ids=str,
)
def test_what_both_refuse(prediction, method, request_, code, message):
    refused = error_of(getattr(prediction, method), of_method(method, **request_))

    assert refused[0] == code
    assert refused[1].startswith(message.format("classification" if method == "Classify" else "regression"))


@pytest.mark.parametrize("method", METHODS)
def test_no_model_spec(prediction, method):
    request = of_method(method)
    request.ClearField("model_spec")

    assert error_of(getattr(prediction, method), request) == (StatusCode.INVALID_ARGUMENT, "Missing ModelSpec")


@pytest.mark.parametrize("method", METHODS)
def test_a_feature_of_another_type(prediction, method):
    wrong = example_pb2.Example()
    wrong.features.feature["x"].bytes_list.value.append(b"two")
    request = of_method(method, "classify" if method == "Classify" else "", input=listed(wrong))

    code, message = error_of(getattr(prediction, method), request)

    assert code == StatusCode.INVALID_ARGUMENT
    assert "Key: x" in message
    assert "Data types don't match" in message


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("three_outputs", "Expected one or two output Tensors, found 3"),
        (
            "serving_default",
            'Expected classification signature outputs to contain at least one of "classes" or "scores". '
            "Signature was: ",
        ),
        (
            "unknown_outputs",
            'Expected classification signature outputs to contain at least one of "classes" or "scores". '
            "Signature was: ",
        ),
        ("flat_scores", "Expected Tensor shape: [batch_size num_classes] but got [2]"),
        ("flat_classes", "Expected Tensor shape: [batch_size num_classes] but got [2]"),
        ("double_scores", "Expected scores Tensor of DT_FLOAT. Got: DT_DOUBLE"),
        ("numeric_classes", "Expected classes Tensor of DT_STRING. Got: DT_INT64"),
        ("too_few_scores", "Expected scores output batch size of 2. Got: 1"),
        ("too_few_classes", "Expected classes output batch size of 2. Got: 1"),
        ("unlike_widths", "Tensors class and score should match in dim_size(1). Got 2 vs. 3"),
    ],
)
def test_signatures_that_do_not_classify(prediction, signature, message):
    refused = error_of(prediction.Classify, classification(signature))

    assert refused[0] == StatusCode.INVALID_ARGUMENT
    assert refused[1].startswith(message) if message.endswith(": ") else refused[1] == message


NOT_A_COLUMN = "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("classify", "Expected one output Tensor."),
        ("three_outputs", "Expected one output Tensor."),
        ("only_scores", "No regression outputs found in SignatureDef: "),
        ("two_columns", NOT_A_COLUMN + "[2,2]"),
        ("scalar", NOT_A_COLUMN + "[]"),
        ("cube", NOT_A_COLUMN + "[2,2,1]"),
        ("too_few", "Input batch size did not match output batch size: 2 vs. 1"),
        ("double", "Expected output Tensor of DT_FLOAT.  Got: DT_DOUBLE"),
    ],
)
def test_signatures_that_do_not_regress(prediction, signature, message):
    refused = error_of(prediction.Regress, regression(signature))

    assert refused[0] == StatusCode.INVALID_ARGUMENT
    assert refused[1].startswith(message) if message.endswith(": ") else refused[1] == message


def test_multi_inference(prediction):
    request = tasks(task("", REGRESS), task("classify", CLASSIFY), task("one_column", REGRESS))

    regressed, classified, column = prediction.MultiInference(request, timeout=TIMEOUT_S).results

    assert values(regressed.regression_result) == values(column.regression_result) == [3, 4]
    assert classes(classified.classification_result) == [[("a", 2), ("a!", 4)], [("b", 4), ("b!", 8)]]
    assert [each.model_spec for each in (regressed, classified, column)] == [
        spec("examples", 1, signature=signature) for signature in ("serving_default", "classify", "one_column")
    ]


def test_multi_inference_with_a_context(prediction):
    request = tasks(task("", REGRESS), input=listed(example(2), example(), context=example(4)))

    (result,) = prediction.MultiInference(request, timeout=TIMEOUT_S).results

    assert values(result.regression_result) == [3, 4]


def test_the_first_task_chooses_the_version(prediction):
    request = tasks(task("", REGRESS, version=1), task("classify", CLASSIFY, version=9))

    results = prediction.MultiInference(request, timeout=TIMEOUT_S).results

    assert [result.model_spec.version.value for result in results] == [1, 1]


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (tasks(), StatusCode.INVALID_ARGUMENT, "ModelSpec has no name specified."),
        (tasks(inference_pb2.InferenceTask()), StatusCode.INVALID_ARGUMENT, "ModelSpec has no name specified."),
        (tasks(task("", REGRESS, "")), StatusCode.INVALID_ARGUMENT, "ModelSpec has no name specified."),
        (tasks(task("", REGRESS, "nobody")), StatusCode.NOT_FOUND, "Servable not found for request: Latest(nobody)"),
        (
            tasks(task("", REGRESS, version=9)),
            StatusCode.NOT_FOUND,
            "Servable not found for request: Specific(examples, 9)",
        ),
        (
            tasks(task("", REGRESS), task("classify", CLASSIFY, "")),
            StatusCode.INVALID_ARGUMENT,
            "Found ModelSpec with an empty model name.",
        ),
        (
            tasks(task("", REGRESS), task("classify", CLASSIFY, "linear")),
            StatusCode.INVALID_ARGUMENT,
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
        ),
        (
            tasks(task("classify", CLASSIFY), task("classify", CLASSIFY)),
            StatusCode.INVALID_ARGUMENT,
            "Duplicate evaluation of signature: classify",
        ),
        (
            tasks(task("", REGRESS), task("serving_default", REGRESS)),
            StatusCode.INVALID_ARGUMENT,
            "Duplicate evaluation of signature: serving_default",
        ),
        (
            tasks(task("other", REGRESS)),
            StatusCode.INVALID_ARGUMENT,
            "Requested signature not found in model graph: other",
        ),
        (
            tasks(task("", REGRESS, "named")),
            StatusCode.INVALID_ARGUMENT,
            "Requested signature not found in model graph: serving_default",
        ),
        (
            tasks(task("", "tensorflow/serving/predict")),
            StatusCode.UNIMPLEMENTED,
            "Unsupported signature method_name: tensorflow/serving/predict",
        ),
        (tasks(task("", "")), StatusCode.UNIMPLEMENTED, "Unsupported signature method_name: "),
        (tasks(task("two_inputs", REGRESS)), StatusCode.INVALID_ARGUMENT, "Expected one input Tensor."),
        (tasks(task("classify", REGRESS)), StatusCode.INVALID_ARGUMENT, "Expected one output Tensor."),
        (
            tasks(task("three_outputs", CLASSIFY)),
            StatusCode.INVALID_ARGUMENT,
            "Expected one or two output Tensors, found 3",
        ),
        (tasks(task("", REGRESS), input=listed()), StatusCode.INVALID_ARGUMENT, "Input is empty."),
        (
            tasks(task("too_few", REGRESS)),
            StatusCode.INVALID_ARGUMENT,
            "Input batch size did not match output batch size: 2 vs. 1",
        ),
        (
            tasks(task("", REGRESS), task("double_scores", CLASSIFY)),
            StatusCode.INVALID_ARGUMENT,
            "Expected scores Tensor of DT_FLOAT. Got: DT_DOUBLE",
        ),
        # Of several things that are wrong, the first task's counts; all tasks are looked at before the examples.
        (
            tasks(task("two_inputs", REGRESS), task("other", REGRESS)),
            StatusCode.INVALID_ARGUMENT,
            "Expected one input Tensor.",
        ),
        (
            tasks(task("too_few", REGRESS), task("other", REGRESS), input=listed()),
            StatusCode.INVALID_ARGUMENT,
            "Requested signature not found in model graph: other",
        ),
        (
            tasks(task("too_few", REGRESS), task("two_inputs", CLASSIFY)),
            StatusCode.INVALID_ARGUMENT,
            "Expected one input Tensor.",
        ),
    ],
)
def test_tasks_that_are_wrong(prediction, request_, code, message):
    assert error_of(prediction.MultiInference, request_) == (code, message)
