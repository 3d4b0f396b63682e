"""Predict over REST: TF Serving's http_rest_api_handler.cc and util/json_tensor.cc."""

import json
import math

import pytest

# linear: y = x / 2 + version.


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("linear", 2),
        ("linear/versions/1", 1),
        ("linear/versions/2", 2),
        ("linear/versions/001", 1),
        ("linear/labels/stable", 1),
        ("linear/labels/canary", 2),
        ("l%69near/labels/st%61ble", 1),
        ("latest", 3),
        ("padded", 7),
        ("padded/versions/7", 7),
    ],
)
def test_the_path_says_which_model(rest, path, version):
    answer = rest.post(f"/v1/models/{path}:predict", {"instances": [2, 4]})

    assert (answer.status, answer.json) == (200, {"predictions": [1 + version, 2 + version]})
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("prefix", ["/V1/Models", "/v1/MODELS"])
def test_letters_of_either_case(rest, prefix):
    assert rest.post(f"{prefix}/linear:predict", {"instances": [2]}).json == {"predictions": [3]}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"instances": [2, 4]}, {"predictions": [3, 4]}),
        ({"instances": [{"x": 2}, {"x": 4}]}, {"predictions": [3, 4]}),
        ({"instances": [[2, 4], [6, 8]]}, {"predictions": [[3, 4], [5, 6]]}),
        ({"instances": [{"x": [[2], [4]]}]}, {"predictions": [[[3], [4]]]}),
        ({"instances": [[], []]}, {"predictions": [[], []]}),
        ({"inputs": [2, 4]}, {"outputs": [3, 4]}),
        ({"inputs": {"x": [2, 4]}}, {"outputs": [3, 4]}),
        ({"inputs": {"x": [2], "more": [4]}}, {"outputs": [3]}),
        ({"inputs": 2}, {"outputs": 3}),
        ({"inputs": []}, {"outputs": []}),
        ({"inputs": [[2, 4]]}, {"outputs": [[3, 4]]}),
        ({"signature_name": "serving_default", "instances": [2]}, {"predictions": [3]}),
        ({"signature_name": "", "instances": [2]}, {"predictions": [3]}),
        ({"instances": [2], "more": {"nested": [{}]}}, {"predictions": [3]}),
        ('{"instances": [2]} and more', {"predictions": [3]}),
        ('\ufeff{"instances": [2]}', {"predictions": [3]}),
        ('{"instances": [2], "instances": [4]}', {"predictions": [3]}),
        ('{"instances": [2], "deep": ' + "[" * 5000 + "]" * 5000 + "}", {"predictions": [3]}),
        ('{"instances": [2, 1e0, 4.0]}', {"predictions": [3, 2.5, 4]}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_a_body_may_be(rest, body, expected):
    answer = rest.post("/v1/models/linear:predict", body.encode() if isinstance(body, str) else body)

    assert (answer.status, answer.json) == (200, expected)


SEVERAL = {"floats": 1.5, "ints": -1, "strings": "a"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"instances": [SEVERAL, SEVERAL]}, {"predictions": [SEVERAL, SEVERAL]}),
        (
            {"inputs": {name: [value] for name, value in SEVERAL.items()}},
            {"outputs": {name: [value] for name, value in SEVERAL.items()}},
        ),
        (
            {"inputs": {"floats": [1.5], "ints": [1, 2], "strings": []}},
            {"outputs": {"floats": [1.5], "ints": [1, 2], "strings": []}},
        ),
    ],
    ids=str,
)
def test_several_tensors(rest, body, expected):
    answer = rest.post("/v1/models/types:predict", {"signature_name": "several", **body})

    assert (answer.status, answer.json) == (200, expected)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("bool", [True, False]),
        ("float32", [0.0, -1.5, 0.2, 16777216.0, 1e-7, 3e38]),
        ("float64", [0.1, 1e300, -2.5]),
        ("int8", [-128, 127]),
        ("int16", [-32768, 32767]),
        ("int32", [-(2**31), 2**31 - 1]),
        ("int64", [-(2**63), 2**63 - 1]),
        ("uint8", [0, 255]),
        ("uint32", [0, 2**32 - 1]),
        ("uint64", [0, 2**64 - 1]),
        ("string", ["", "é", 'a"\\\n\t', "\u0001", "😀"]),
    ],
)
def test_types_that_json_has(rest, name, values):
    answer = rest.post("/v1/models/types:predict", {"signature_name": name, "inputs": values})

    assert answer.status == 200
    assert answer.json == {"outputs": pytest.approx(values, rel=1e-6) if name == "float32" else values}


@pytest.mark.parametrize(
    ("sent", "written"),
    [
        ("2", "2.0"),
        ("0.2", "0.2"),
        ("-0.0", "-0.0"),
        ("9000000", "9e+06"),
        ("0.00003", "3e-05"),
        ("16777216", "16777216.0"),
        ("123456.7", "123456.703"),
        ("0.333333343", "0.333333343"),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("-Infinity", "-Infinity"),
        ("Inf", "Infinity"),
        ("1e39", "Infinity"),
        ("-1e39", "-Infinity"),
        ("1e-46", "0.0"),
    ],
)
def test_how_numbers_are_written(rest, sent, written):
    answer = rest.post("/v1/models/types:predict", f'{{"instances": [{sent}]}}')

    assert answer.body.decode() == f'{{\n    "predictions": [{written}\n    ]\n}}'


def test_whole_numbers_of_doubles(rest):
    answer = rest.post("/v1/models/types:predict", '{"signature_name": "float64", "instances": [1, 0.1, 1e22]}')

    assert answer.body.decode() == '{\n    "predictions": [1.0, 0.1, 1e+22\n    ]\n}'


@pytest.mark.parametrize(
    ("instances", "expected"),
    [
        # Bytes are written so if the tensor's name ends in _bytes. aGk= is "hi", /wA= the bytes 255 and 0.
        ([{"b64": "aGk="}], [{"image_bytes": {"b64": "aGk="}, "text": "hi"}]),
        (["hi"], [{"image_bytes": {"b64": "aGk="}, "text": "hi"}]),
        ([{"image_bytes": {"b64": "aGk="}}], [{"image_bytes": {"b64": "aGk="}, "text": "hi"}]),
        ([{"b64": "aGk"}], [{"image_bytes": {"b64": "aGk="}, "text": "hi"}]),
        ([[{"b64": "aGk="}, "é"]], [{"image_bytes": [{"b64": "aGk="}, {"b64": "w6k="}], "text": ["hi", "é"]}]),
    ],
)
def test_bytes(rest, instances, expected):
    answer = rest.post("/v1/models/types:predict", {"signature_name": "bytes", "instances": instances})

    assert (answer.status, answer.json) == (200, {"predictions": expected})


def test_the_rest_of_a_row_is_of_no_type(rest):
    """A sum has no rows, but is an answer in columns."""
    answer = rest.post("/v1/models/types:predict", {"signature_name": "sum", "inputs": [1, 2, 3]})

    assert (answer.status, answer.json) == (200, {"outputs": 6})


def test_nan_in_rows(rest):
    answer = rest.post("/v1/models/types:predict", '{"instances": [[NaN, 1]]}')

    assert math.isnan(answer.json["predictions"][0][0])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "JSON Parse error: The document is empty"),
        (" ", "JSON Parse error: The document is empty. at offset: 1"),
        ("instances = [1, 2]", "JSON Parse error: Invalid value. at offset: 0"),
        ("{", "JSON Parse error: Missing a name for object member. at offset: 1"),
        ('{"instances" [1]}', "JSON Parse error: Missing a colon after a name of object member. at offset: 13"),
        ('{"instances": [1 2]}', "JSON Parse error: Missing a comma or ']' after an array element. at offset: 17"),
        ('{"instances": [1]', "JSON Parse error: Missing a comma or '}' after an object member. at offset: 17"),
        ('{"instances": ["a', "JSON Parse error: Missing a closing quotation mark in string. at offset: 17"),
        ('{"instances": [1e999]}', "JSON Parse error: Number too big to be stored in double. at offset: 15"),
        ('{"instances": [1,]}', "JSON Parse error: Invalid value. at offset: 17"),
        ("[1]", "JSON Value: [1] Is not object"),
        ("1", "JSON Value: 1 Is not object"),
        ("{}", "Missing 'inputs' or 'instances' key"),
        ('{"signature_name": "other", "instances": [1]}', 'Serving signature name: "other" not found in signature def'),
        ('{"signature_name": "other"}', 'Serving signature name: "other" not found in signature def'),
    ],
)
def test_bodies_that_are_wrong(rest, body, message):
    answer = rest.post("/v1/models/linear:predict", body)

    assert (answer.status, answer.error) == (400, message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            {"signature_name": 5, "instances": [1]},
            " not formatted correctly. 'signature_name' key must be a string value.",
        ),
        (
            {"instances": [1], "inputs": [1]},
            " Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ",
        ),
        ({"instances": 1}, " Expecting 'instances' to be an list/array"),
        ({"instances": {"x": 1}}, " Expecting 'instances' to be an list/array"),
        ({"instances": []}, " No values in 'instances' array"),
    ],
    ids=str,
)
def test_bodies_that_are_shown(rest, body, message):
    """The message shows the document, as far as there is room."""
    answer = rest.post("/v1/models/linear:predict", body)

    assert answer.status == 400
    shown, separator, _ = answer.error.removeprefix("JSON Value: ").partition(message)
    assert separator
    assert json.loads(shown) == body


def test_documents_are_shown_in_part(rest):
    """No further token once there are 256 bytes: 1 + 1 + 85 · 3 = 257."""
    answer = rest.post("/v1/models/linear:predict", [1] * 200)

    assert (answer.status, answer.error) == (400, f"JSON Value: [{', '.join('1' * 86)} Is not object")


def test_a_model_without_the_default_signature(rest):
    answer = rest.post("/v1/models/named:predict", {"instances": [2]})

    assert (answer.status, answer.error) == (
        400,
        'Serving signature name: "serving_default" not found in signature def',
    )
    assert rest.post("/v1/models/named:predict", {"signature_name": "halves", "instances": [2]}).json == {
        "predictions": [1]
    }


ELEMENT = "Failed to process element: {} of 'instances' list. Error: INVALID_ARGUMENT: "


@pytest.mark.parametrize(
    ("model", "body", "message"),
    [
        (
            "linear",
            {"instances": ["a"]},
            ELEMENT.format(0) + 'JSON Value: "a" Type: String is not of expected type: float',
        ),
        (
            "linear",
            {"instances": [1, None]},
            ELEMENT.format(1) + "JSON Value: null Type: Null is not of expected type: float",
        ),
        (
            "linear",
            {"instances": [True]},
            ELEMENT.format(0) + "JSON Value: true Type: True is not of expected type: float",
        ),
        (
            "linear",
            {"instances": [{"x": {}}]},
            ELEMENT.format("0 key: x") + "JSON Value: {} Type: Object is not of expected type: float",
        ),
        ("linear", {"instances": [{"z": 1}]}, ELEMENT.format("0 key: z") + "JSON object: does not have named input: z"),
        (
            "linear",
            {"instances": [{"x": 1}, {"x": "a"}]},
            ELEMENT.format("1 key: x") + 'JSON Value: "a" Type: String is not of expected type: float',
        ),
        ("linear", {"instances": [[1], [1, 2]]}, ELEMENT.format(1) + "Expecting tensor size: 1 but got: 2"),
        ("linear", {"instances": [[1, 2], [[1, 2]]]}, ELEMENT.format(1) + "Expecting shape [2] but got: [1,2]"),
        ("linear", {"instances": [1, [1]]}, ELEMENT.format(1) + "Expecting shape [] but got: [1]"),
        (
            "linear",
            {"instances": [[1, [2]]]},
            ELEMENT.format(0) + "Encountered list at unexpected level: 1 expected < 1",
        ),
        (
            "linear",
            {"instances": [[[1], 2]]},
            ELEMENT.format(0) + "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
        ),
        (
            "linear",
            {"instances": [[[1, 2], [3]]]},
            ELEMENT.format(0) + "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
        ),
        ("linear", {"instances": [1, {"x": 1}]}, "Expecting value/list but got object at item 1 of input list"),
        ("linear", {"instances": [{"x": 1}, 1]}, "Expecting object but got list at item 1 of input list"),
        ("linear", {"inputs": {"z": 1}}, "Missing named input: x in 'inputs' object."),
        ("linear", {"inputs": {}}, "Missing named input: x in 'inputs' object."),
        ("linear", {"inputs": "a"}, 'JSON Value: "a" Type: String is not of expected type: float'),
        ("linear", {"inputs": [1, "a"]}, 'JSON Value: "a" Type: String is not of expected type: float'),
        ("linear", {"inputs": [[1, 2], [3]]}, "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
        (
            "several",
            {"instances": [1]},
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map",
        ),
        (
            "several",
            {"inputs": [1]},
            "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
            "tensorinfo_map",
        ),
        ("several", {"inputs": {"ints": [1], "floats": [1]}}, "Missing named input: strings in 'inputs' object."),
        ("constant", {"instances": [1]}, "Failed to get input map for signature: constant"),
        ("int32", {"inputs": [1.0]}, "JSON Value: 1.0 Type: Number is not of expected type: int32"),
        ("int32", {"inputs": [2**31]}, "JSON Value: 2147483648 Type: Number is not of expected type: int32"),
        ("int64", {"inputs": [2**63]}, "JSON Value: 9223372036854775808 Type: Number is not of expected type: int64"),
        ("uint32", {"inputs": [-1]}, "JSON Value: -1 Type: Number is not of expected type: uint32"),
        ("uint64", {"inputs": [-1]}, "JSON Value: -1 Type: Number is not of expected type: uint64"),
        ("bool", {"inputs": [1]}, "JSON Value: 1 Type: Number is not of expected type: bool"),
        ("string", {"inputs": [1]}, "JSON Value: 1 Type: Number is not of expected type: string"),
        ("string", {"inputs": [{"b64": "!"}]}, "Unable to base64 decode"),
        ("string", {"instances": [[{"b64": 5}]]}, None),
        ("sum", {"instances": [1, 2]}, "Tensor name: y has no shape information "),
        ("float16", {"inputs": [{}]}, "JSON Value: {} Type: Object is not of expected type: half"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_values_that_do_not_fit(rest, model, body, message):
    if model == "linear":
        answer = rest.post("/v1/models/linear:predict", body)
    else:
        answer = rest.post("/v1/models/types:predict", {"signature_name": model, **body})

    assert answer.status == 400
    assert answer.error == message if message else answer.error.endswith(" not formatted correctly for base64 data")


def test_rows_with_too_few_names(rest):
    rows = {"instances": [{"floats": 1, "ints": 1}], "signature_name": "several"}
    answer = rest.post("/v1/models/types:predict", rows)

    assert answer.status == 400
    assert answer.error.startswith("Failed to process element: 0 of 'instances' list. JSON object: ")
    assert answer.error.endswith(" keys must be equal to: floats,ints,strings")


@pytest.mark.parametrize("name", ["float16", "bfloat16", "uint16", "complex64"])
def test_types_that_json_has_not(rest, name):
    answer = rest.post("/v1/models/types:predict", {"signature_name": name, "inputs": [1]})

    spoken = {"float16": "half"}.get(name, name)
    assert (answer.status, answer.error) == (501, f"Conversion of JSON Value: 1 to type: {spoken}")


@pytest.mark.parametrize("name", ["float16", "bfloat16", "uint16", "complex64"])
def test_a_tensor_of_such_a_type_may_be_empty(rest, name):
    answer = rest.post("/v1/models/types:predict", {"signature_name": name, "inputs": []})

    assert (answer.status, answer.json) == (200, {"outputs": []})


def test_outputs_of_unlike_sizes(rest):
    rows = rest.post("/v1/models/types:predict", {"signature_name": "uneven", "instances": [1, 2]})
    columns = rest.post("/v1/models/types:predict", {"signature_name": "uneven", "inputs": [1, 2]})

    assert rows.status == 400
    # It depends on the order in which the server looks at them, which is of a hash.
    assert rows.error in (
        "Tensor name: z has inconsistent batch size: 4 expecting: 2",
        "Tensor name: y has inconsistent batch size: 2 expecting: 4",
    )
    assert (columns.status, columns.json) == (200, {"outputs": {"y": [1, 2], "z": [1, 2, 1, 2]}})


def test_defaults_are_not_for_rest(rest):
    """All inputs are needed."""
    answer = rest.post("/v1/models/types:predict", {"signature_name": "defaults", "inputs": {"x": [1]}})

    assert answer.status == 400
    assert answer.error in (
        "Missing named input: scale in 'inputs' object.",
        "Missing named input: shift in 'inputs' object.",
    )


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("nobody", 404, "Servable not found for request: Latest(nobody)"),
        ("nobody/versions/50", 404, "Servable not found for request: Specific(nobody, 50)"),
        ("linear99", 404, "Servable not found for request: Latest(linear99)"),
        ("linear/versions/3", 404, "Servable not found for request: Specific(linear, 3)"),
        ("linear/labels/best", 400, "Unrecognized servable version label: best"),
        ("latest/labels/stable", 400, "Unrecognized servable version label: stable"),
    ],
)
@pytest.mark.parametrize("body", [{"instances": [1]}, {"instances": ["a"]}, {}])
def test_there_is_nobody_to_answer(rest, path, status, message, body):
    answer = rest.post(f"/v1/models/{path}:predict", body)

    assert (answer.status, answer.error) == (status, message)


@pytest.mark.parametrize("method", ["predict", "classify", "regress"])
def test_a_body_is_read_before_anybody_is_looked_for(rest, method):
    answer = rest.post(f"/v1/models/nobody:{method}", "{")

    assert (answer.status, answer.error) == (
        400,
        "JSON Parse error: Missing a name for object member. at offset: 1",
    )


def test_an_operation_that_fails(rest):
    answer = rest.post("/v1/models/types:predict", '{"signature_name": "checked", "instances": [NaN]}')

    assert answer.status == 400
    assert "x must be a number : Tensor had NaN values" in answer.error


def test_a_large_body_and_a_large_answer(rest):
    values = [float(number) for number in range(100_000)]

    assert rest.post("/v1/models/types:predict", {"inputs": values}).json == {"outputs": values}
