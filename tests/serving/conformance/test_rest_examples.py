"""Classify and Regress over REST: TF Serving's http_rest_api_handler.cc and util/json_tensor.cc."""

import json

import pytest

# scores = [x, 2 x], classes = [name, name!], outputs = x / 2 + 2.


@pytest.mark.parametrize("path", ["examples", "examples/versions/1"])
def test_classify(rest, path):
    body = {"signature_name": "classify", "examples": [{"x": 2.0, "name": "a"}, {"x": [4.5], "name": ["b"]}]}
    answer = rest.post(f"/v1/models/{path}:classify", body)

    assert (answer.status, answer.json) == (
        200,
        {"results": [[["a", 2], ["a!", 4]], [["b", 4.5], ["b!", 9]]]},
    )
    assert answer.headers["Content-Type"] == "application/json"


def test_how_classes_are_written(rest):
    body = {"signature_name": "classify", "examples": [{"x": 0.1, "name": "é"}]}
    answer = rest.post("/v1/models/examples:classify", body)

    assert answer.body.decode() == '{\n    "results": [[["é", 0.1], ["é!", 0.2]]\n    ]\n}'


@pytest.mark.parametrize(
    ("signature", "expected"),
    [("only_scores", [["", 2], ["", 4]]), ("only_classes", [["a", 0], ["a!", 0]])],
)
def test_classes_or_scores_alone(rest, signature, expected):
    body = {"signature_name": signature, "examples": [{"x": 2.0, "name": "a"}]}

    assert rest.post("/v1/models/examples:classify", body).json == {"results": [expected]}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"examples": [{"x": 2.0}, {"x": [4.0]}]}, [3, 4]),
        ({"examples": [{}]}, [2]),
        ({"examples": [{"x": []}]}, [2]),
        ({"signature_name": "one_column", "examples": [{"x": 2.0}]}, [3]),
        ({"context": {"x": 4.0}, "examples": [{"x": 2.0}, {}]}, [3, 4]),
        ({"context": {}, "examples": [{"x": 2.0}]}, [3]),
        ({"examples": [{"x": 2.0, "name": {"b64": "/w=="}, "unknown": [1, 2]}]}, [3]),
        ({"examples": [{"unknown": True, "another": [False, 1]}]}, [2]),
        ('{"examples": [{"x": NaN}, {"x": -Infinity}]}', "[NaN, -Infinity]"),
    ],
    ids=str,
)
def test_regress(rest, body, expected):
    answer = rest.post("/v1/models/examples:regress", body)

    assert answer.status == 200
    if isinstance(expected, str):
        assert answer.body.decode() == f'{{\n    "results": {expected}\n}}'
    else:
        assert answer.json == {"results": expected}


METHODS = ["classify", "regress"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "JSON Parse error: The document is empty"),
        ("x", "JSON Parse error: Invalid value. at offset: 0"),
        ("[]", "JSON Value: [] Is not object"),
        ({"examples": [5]}, "Example must be JSON object but got JSON Number"),
        ({"examples": [[]]}, "Example must be JSON object but got JSON Array"),
        ({"examples": [None]}, "Example must be JSON object but got JSON Null"),
        ({"context": "a", "examples": [{}]}, "Example must be JSON object but got JSON String"),
        # The context is looked at before the examples.
        ({"context": True}, "Example must be JSON object but got JSON True"),
        ({"examples": [{"x": None}]}, "Feature: x has element with unexpected JSON type: Null"),
        ({"examples": [{"x": [[1.0]]}]}, "Feature: x has element with unexpected JSON type: Array"),
        ({"examples": [{"x": {"a": 1}}]}, "Feature: x has element with unexpected JSON type: Object"),
        ({"examples": [{"x": [1, None]}]}, "Feature: x has element with unexpected JSON type: Null"),
        ({"examples": [{"x": [1, 1.5]}]}, "Unexpected element type in feature: x expecting type: int64"),
        ({"examples": [{"x": [1.5, 1]}]}, "Unexpected element type in feature: x expecting type: float"),
        ({"examples": [{"x": ["a", True]}]}, "Unexpected element type in feature: x expecting type: bytes"),
        ({"examples": [{"x": [1, {"b64": "aGk="}]}]}, "Unexpected element type in feature: x expecting type: int64"),
        ({"examples": [{"x": 2**63}]}, "Feature: x has uint64_t element. Only int64_t is supported."),
        ({"examples": [{"x": {"b64": "!"}}]}, "Unable to base64 decode"),
        ({"signature_name": "other", "examples": [{}]}, "No signature was found with the name: other"),
        ({"signature_name": "two_inputs", "examples": [{}]}, "Expected one input Tensor."),
    ],
    ids=str,
)
def test_bodies_that_are_wrong(rest, method, body, message):
    answer = rest.post(f"/v1/models/examples:{method}", body)

    assert (answer.status, answer.error) == (400, message)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            {"signature_name": 5, "examples": [{}]},
            " not formatted correctly. 'signature_name' key must be a string value.",
        ),
        ({}, " When method is classify, key 'examples' is expected and was not found"),
        ({"context": {}}, " When method is classify, key 'examples' is expected and was not found"),
        ({"examples": {}}, " Expecting 'examples' value to be an list/array"),
        ({"examples": "a"}, " Expecting 'examples' value to be an list/array"),
        ({"examples": []}, " 'examples' value is an empty array"),
    ],
    ids=str,
)
def test_bodies_that_are_shown(rest, method, body, message):
    answer = rest.post(f"/v1/models/examples:{method}", body)

    assert answer.status == 400
    shown, separator, _ = answer.error.removeprefix("JSON Value: ").partition(message)
    assert separator
    assert json.loads(shown) == body


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("nobody", 404, "Servable not found for request: Latest(nobody)"),
        ("examples/versions/9", 404, "Servable not found for request: Specific(examples, 9)"),
        ("examples/labels/best", 400, "Unrecognized servable version label: best"),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_there_is_nobody_to_answer(rest, path, status, message, method):
    answer = rest.post(f"/v1/models/{path}:{method}", {"examples": [{}]})

    assert (answer.status, answer.error) == (status, message)


@pytest.mark.parametrize(
    ("method", "signature", "message"),
    [
        ("classify", "flat_scores", "Expected Tensor shape: [batch_size num_classes] but got [1]"),
        ("classify", "double_scores", "Expected scores Tensor of DT_FLOAT. Got: DT_DOUBLE"),
        ("classify", "three_outputs", "Expected one or two output Tensors, found 3"),
        ("regress", "classify", "Expected one output Tensor."),
        ("regress", "double", "Expected output Tensor of DT_FLOAT.  Got: DT_DOUBLE"),
    ],
)
def test_signatures_of_another_method(rest, method, signature, message):
    answer = rest.post(f"/v1/models/examples:{method}", {"signature_name": signature, "examples": [{"x": 1.0}]})

    assert (answer.status, answer.error) == (400, message)


@pytest.mark.parametrize("method", METHODS)
def test_a_feature_of_another_type(rest, method):
    body = {"signature_name": "classify" if method == "classify" else "", "examples": [{"x": 2}]}
    answer = rest.post(f"/v1/models/examples:{method}", body)

    assert answer.status == 400
    assert "Data types don't match" in answer.error
