"""Requests from JSON and JSON from responses, case by case as TF Serving's json_tensor_test.cc has them."""

import json

import numpy as np
import pytest
from google.protobuf import text_format
from grpc import StatusCode
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import classification_pb2, predict_pb2, regression_pb2

from serving.server import json_requests
from serving.server.json_requests import Format
from serving.server.status import StatusError
from serving.tensor_proto import fill_values, to_array

DEFAULT_INT = {"default": "DT_INT32"}
DEFAULT_FLOAT = {"default": "DT_FLOAT"}
DEFAULT_STRING = {"default": "DT_STRING"}
THREE = {"a": "DT_INT32", "b": "DT_STRING", "c": "DT_FLOAT"}


def infos(types):
    return {name: meta_graph_pb2.TensorInfo(dtype=types_pb2.DataType.Value(dtype)) for name, dtype in types.items()}


def filled(body, types):
    request = predict_pb2.PredictRequest()
    content = body if isinstance(body, bytes) else body.encode()
    return request, json_requests.fill_predict_request(request, content, lambda _: infos(types))


def arrays(body, types, arrangement):
    request, actual = filled(body, types)
    assert actual is arrangement
    return {name: to_array(tensor) for name, tensor in request.inputs.items()}


def refusal(call, *arguments):
    with pytest.raises(StatusError) as raised:
        call(*arguments)
    return raised.value.code, raised.value.message


def check(actual, expected):
    assert actual.keys() == expected.keys()
    for name, array in actual.items():
        np.testing.assert_array_equal(array, np.array(expected[name], array.dtype), strict=True)


@pytest.mark.parametrize(
    ("instances", "types", "expected"),
    [
        ("[[1, 2], [3, 4], [5, 6]]", DEFAULT_INT, {"default": [[1, 2], [3, 4], [5, 6]]}),
        ("[1, 2.0, 3, 5.003, 0.007, 0.0]", DEFAULT_FLOAT, {"default": [1, 2, 3, 5.003, 0.007, 0]}),
        ("[1435774380]", DEFAULT_FLOAT, {"default": [1435774336]}),
        ("[1.7976931348623157e308, -1.7976931348623157e308]", DEFAULT_FLOAT, {"default": [np.inf, -np.inf]}),
        ("[2.2250738585072014e-308]", DEFAULT_FLOAT, {"default": [0]}),
        ("[18446744073709551616]", {"x": "DT_DOUBLE"}, {"x": [2.0**64]}),
        ("[18446744073709551615]", {"x": "DT_UINT64"}, {"x": [2**64 - 1]}),
        ("[-9223372036854775808]", {"x": "DT_INT64"}, {"x": [-(2**63)]}),
        ("[300, -1]", {"x": "DT_UINT8"}, {"x": [44, 255]}),
        ("[true, false]", {"x": "DT_BOOL"}, {"x": [True, False]}),
        ("[[], []]", DEFAULT_INT, {"default": np.zeros([2, 0])}),
        ('["foo", "bar"]', DEFAULT_STRING, {"default": [b"foo", b"bar"]}),
        ('[{"b64": "aGVsbG8="}, {"b64": "d29ybGQ="}]', DEFAULT_STRING, {"default": [b"hello", b"world"]}),
        ('[[{"b64": "aGVsbG8="}], ["world"]]', DEFAULT_STRING, {"default": [[b"hello"], [b"world"]]}),
        ('[{"default": [["é"]]}]', DEFAULT_STRING, {"default": [[["é".encode()]]]}),
        (
            '[{"a": [1, 2], "b": "x", "c": NaN}, {"c": Infinity, "b": "y", "a": [3, 4]}]',
            THREE,
            {"a": [[1, 2], [3, 4]], "b": [b"x", b"y"], "c": [np.nan, np.inf]},
        ),
    ],
)
def test_rows(instances, types, expected):
    check(arrays(f'{{"instances": {instances}}}', types, Format.ROW), expected)


@pytest.mark.parametrize(
    ("inputs", "types", "expected"),
    [
        ("[[[1, 2], [3, 4]]]", DEFAULT_INT, {"default": [[[1, 2], [3, 4]]]}),
        ('{"default": [[[1, 2], [3, 4]]]}', DEFAULT_INT, {"default": [[[1, 2], [3, 4]]]}),
        ("7", DEFAULT_INT, {"default": 7}),
        ('{"b64": "aGVsbG8="}', DEFAULT_STRING, {"default": b"hello"}),
        ('{"a": [], "b": "x", "c": [[0.5]], "d": 1}', THREE, {"a": [], "b": b"x", "c": [[0.5]]}),
    ],
)
def test_columns(inputs, types, expected):
    check(arrays(f'{{"inputs": {inputs}}}', types, Format.COLUMNAR), expected)


def test_bytes_that_are_not_utf8_are_taken_as_they_are():
    assert to_array(filled(b'{"inputs": "\xff"}', DEFAULT_STRING)[0].inputs["default"]) == b"\xff"


@pytest.mark.parametrize("text", ["aGk", "aGk=", " aG\\nk= "])
def test_base64_without_padding_and_with_white_space(text):
    request, _ = filled(f'{{"inputs": {{"b64": "{text}"}}}}', DEFAULT_STRING)
    assert to_array(request.inputs["default"]) == b"hi"


def test_a_signature_is_named():
    request, _ = filled('{"signature_name": "x", "instances": [1]}', DEFAULT_INT)
    assert request.model_spec.signature_name == "x"


def test_depth_does_not_matter_where_nobody_looks():
    deep = "[" * 100_000 + "]" * 100_000

    assert arrays(f'{{"instances": [1], "nested": {deep}}}', DEFAULT_INT, Format.ROW)["default"].tolist() == [1]
    code, message = refusal(filled, f'{{"signature_name": {deep}}}', DEFAULT_INT)
    assert code is StatusCode.INVALID_ARGUMENT
    assert message.endswith("[[[ not formatted correctly. 'signature_name' key must be a string value.")
    assert refusal(filled, f'{{"instances": {deep}}}', DEFAULT_INT)[0] is StatusCode.INVALID_ARGUMENT


DOCUMENT_ERRORS = [
    ("", "JSON Parse error: The document is empty"),
    ("instances = [1, 2]", "JSON Parse error: Invalid value. at offset: 0"),
    ("[1, 2]", "JSON Value: [1, 2] Is not object"),
    (
        '{"signature_name": 5}',
        'JSON Value: {\n    "signature_name": 5\n} not formatted correctly. '
        "'signature_name' key must be a string value.",
    ),
]

PREDICT_ERRORS = [
    ("{}", {}, "Failed to get input map for signature: DEFAULT"),
    ('{"signature_name": "x"}', {}, "Failed to get input map for signature: x"),
    ("{}", DEFAULT_INT, "Missing 'inputs' or 'instances' key"),
    (
        '{"instances": [1], "inputs": [1]}',
        DEFAULT_INT,
        'JSON Value: {\n    "instances": [1],\n    "inputs": [1]\n} Not formatted correctly expecting only one of '
        "'inputs' or 'instances' keys to exist ",
    ),
    (
        '{"instances": 1}',
        DEFAULT_INT,
        "JSON Value: {\n    \"instances\": 1\n} Expecting 'instances' to be an list/array",
    ),
    ('{"instances": []}', DEFAULT_INT, "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array"),
    (
        '{"instances": [1]}',
        THREE,
        "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
        "tensorinfo_map",
    ),
    (
        '{"inputs": [1]}',
        THREE,
        "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
        "tensorinfo_map",
    ),
    ('{"inputs": {"a": 1, "b": "x"}}', THREE, "Missing named input: c in 'inputs' object."),
    ('{"inputs": [1, [2]]}', DEFAULT_INT, "Encountered list at unexpected level: 1 expected < 1"),
    (
        '{"inputs": [[1], 2]}',
        DEFAULT_INT,
        "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
    ),
    (
        '{"inputs": [[1], [2, 3]]}',
        DEFAULT_INT,
        "Encountered list at unexpected size: 2 at level: 1 expected size: 1",
    ),
    ('{"inputs": "x"}', DEFAULT_INT, 'JSON Value: "x" Type: String is not of expected type: int32'),
    ('{"inputs": 1.5}', DEFAULT_INT, "JSON Value: 1.5 Type: Number is not of expected type: int32"),
    ('{"inputs": 2147483648}', DEFAULT_INT, "JSON Value: 2147483648 Type: Number is not of expected type: int32"),
    ('{"inputs": true}', DEFAULT_FLOAT, "JSON Value: true Type: True is not of expected type: float"),
    ('{"inputs": false}', DEFAULT_STRING, "JSON Value: false Type: False is not of expected type: string"),
    ('{"inputs": [null]}', DEFAULT_FLOAT, "JSON Value: null Type: Null is not of expected type: float"),
    ('{"inputs": 1}', {"x": "DT_BOOL"}, "JSON Value: 1 Type: Number is not of expected type: bool"),
    ('{"inputs": -1}', {"x": "DT_UINT32"}, "JSON Value: -1 Type: Number is not of expected type: uint32"),
    (
        '{"inputs": 9223372036854775808}',
        {"x": "DT_INT64"},
        "JSON Value: 9223372036854775808 Type: Number is not of expected type: int64",
    ),
    (
        '{"inputs": [{"b64": "aGk="}]}',
        DEFAULT_INT,
        'JSON Value: {\n    "b64": "aGk="\n} Type: Object is not of expected type: int32',
    ),
    ('{"inputs": {"b64": "a*"}}', DEFAULT_STRING, "Unable to base64 decode"),
    (
        '{"inputs": [{"b64": 1}]}',
        DEFAULT_STRING,
        'JSON Value: {\n    "b64": 1\n} not formatted correctly for base64 data',
    ),
    (
        '{"instances": [[1, 2], [3, 4, 5]]}',
        DEFAULT_INT,
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor size: 2 but "
        "got: 3",
    ),
    (
        '{"instances": [[1, 2], [[3, 4]]]}',
        DEFAULT_INT,
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting shape [2] but got: [1,2]",
    ),
    (
        '{"instances": [1, [1]]}',
        DEFAULT_INT,
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting shape [] but got: [1]",
    ),
    (
        '{"instances": [[1, 2], ["a", "b"]]}',
        DEFAULT_INT,
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: \"a\" Type: String "
        "is not of expected type: int32",
    ),
    (
        '{"instances": [1]}',
        {"x": "DT_HALF"},
        "Failed to process element: 0 of 'instances' list. Error: UNIMPLEMENTED: Conversion of JSON Value: 1 to "
        "type: half",
    ),
    (
        '{"instances": [{"a": 1, "b": "x", "c": 1}, [2]]}',
        THREE,
        "Expecting object but got list at item 1 of input list",
    ),
    (
        '{"instances": [["x"], {"default": ["x"]}]}',
        DEFAULT_STRING,
        "Expecting value/list but got object at item 1 of input list",
    ),
    (
        '{"instances": [{"a": 1, "d": 1}]}',
        THREE,
        "Failed to process element: 0 key: d of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not "
        "have named input: d",
    ),
    (
        '{"instances": [{"a": 1, "c": 1}]}',
        THREE,
        "Failed to process element: 0 of 'instances' list. JSON object: {\n"
        '    "a": 1,\n    "c": 1\n} keys must be equal to: a,b,c',
    ),
]


@pytest.mark.parametrize(
    ("body", "types", "message"), [(body, DEFAULT_INT, message) for body, message in DOCUMENT_ERRORS] + PREDICT_ERRORS
)
def test_predict_requests_that_are_refused(body, types, message):
    assert refusal(filled, body, types) == (StatusCode.INVALID_ARGUMENT, message)


def test_types_that_json_has_nothing_for():
    assert refusal(filled, '{"inputs": [1.5]}', {"x": "DT_BFLOAT16"}) == (
        StatusCode.UNIMPLEMENTED,
        "Conversion of JSON Value: 1.5 to type: bfloat16",
    )


EXAMPLE_REQUESTS = [classification_pb2.ClassificationRequest, regression_pb2.RegressionRequest]


@pytest.mark.parametrize("kind", EXAMPLE_REQUESTS)
def test_examples(kind):
    request = kind()
    json_requests.fill_examples_request(
        request,
        b"""{
            "examples": [
                {"names": ["foo", "bar"], "ratings": [8.0, 9.0, NaN, -Infinity], "age": 20},
                {"names": ["baz", {"b64": "aGVsbG8="}], "ratings": 1e300, "mix": [1, true, false], "none": []}
            ]
        }""",
    )

    expected = text_format.Parse(
        """
        input { example_list {
            examples { features {
                feature { key: "names" value { bytes_list { value: "foo" value: "bar" } } }
                feature { key: "ratings" value { float_list { value: 8 value: 9 value: nan value: -inf } } }
                feature { key: "age" value { int64_list { value: 20 } } }
            } }
            examples { features {
                feature { key: "names" value { bytes_list { value: "baz" value: "hello" } } }
                feature { key: "ratings" value { float_list { value: inf } } }
                feature { key: "mix" value { int64_list { value: 1 value: 1 value: 0 } } }
                feature { key: "none" value {} }
            } }
        } }
        """,
        kind(),
    )
    assert text_format.MessageToString(request) == text_format.MessageToString(expected)


@pytest.mark.parametrize("kind", EXAMPLE_REQUESTS)
def test_examples_with_context_and_signature(kind):
    request = kind()
    json_requests.fill_examples_request(
        request, b'{"signature_name": "s", "context": {"query": "pizza"}, "examples": [{"a": 1, "a": 2}, {}]}'
    )

    assert request == text_format.Parse(
        """
        model_spec { signature_name: "s" }
        input { example_list_with_context {
            context { features { feature { key: "query" value { bytes_list { value: "pizza" } } } } }
            examples { features { feature { key: "a" value { int64_list { value: 2 } } } } }
            examples {}
        } }
        """,
        kind(),
    )


EXAMPLE_ERRORS = [
    ('{"context": [{"a": 1}]}', "Example must be JSON object but got JSON Array"),
    ("{}", "JSON Value: {} When method is classify, key 'examples' is expected and was not found"),
    (
        '{"examples": {}}',
        "JSON Value: {\n    \"examples\": {}\n} Expecting 'examples' value to be an list/array",
    ),
    ('{"examples": []}', "JSON Value: {\n    \"examples\": []\n} 'examples' value is an empty array"),
    ('{"examples": [[{"a": 1}]]}', "Example must be JSON object but got JSON Array"),
    ('{"examples": [{"a": [10, null]}]}', "Feature: a has element with unexpected JSON type: Null"),
    ('{"examples": [{"a": [10, 10.0]}]}', "Unexpected element type in feature: a expecting type: int64"),
    ('{"examples": [{"a": [1.5, "x"]}]}', "Unexpected element type in feature: a expecting type: float"),
    ('{"examples": [{"a": ["x", true]}]}', "Unexpected element type in feature: a expecting type: bytes"),
    ('{"examples": [{"a": [10, {"test": 10}]}]}', "Feature: a has element with unexpected JSON type: Object"),
    ('{"examples": [{"a": [10, {"b64": "aGk="}]}]}', "Unexpected element type in feature: a expecting type: int64"),
    ('{"examples": [{"a": [[10], 20]}]}', "Feature: a has element with unexpected JSON type: Array"),
    (
        '{"examples": [{"a": [20, 18446744073709551603]}]}',
        "Feature: a has uint64_t element. Only int64_t is supported.",
    ),
    ('{"examples": [{"a": {"b64": "?"}}]}', "Unable to base64 decode"),
]


@pytest.mark.parametrize("kind", EXAMPLE_REQUESTS)
@pytest.mark.parametrize(("body", "message"), DOCUMENT_ERRORS + EXAMPLE_ERRORS)
def test_examples_that_are_refused(kind, body, message):
    assert refusal(json_requests.fill_examples_request, kind(), body.encode()) == (StatusCode.INVALID_ARGUMENT, message)


def tensors(**values):
    protos = {}
    for name, array in values.items():
        protos[name] = tensor_pb2.TensorProto()
        fill_values(protos[name], np.array(array) if not isinstance(array, np.ndarray) else array)
    return protos


def strings(values):
    return np.array(values, object)


def test_one_tensor_in_rows():
    assert (
        json_requests.from_tensors(tensors(x=[2.5, 3.0]), Format.ROW).decode()
        == """{
    "predictions": [2.5, 3.0
    ]
}"""
    )


def test_several_tensors_in_rows():
    outputs = tensors(
        number=[8.0, 9.0],
        pairs=[[1, 2], [3, 4]],
        text=strings([[b"foo"], [b'b"\xc3\xa9']]),
        text_bytes=strings([b"hello", b"\xff"]),
        yes=[True, False],
    )

    assert (
        json_requests.from_tensors(outputs, Format.ROW).decode()
        == """{
    "predictions": [
        {
            "number": 8.0,
            "pairs": [1, 2],
            "text": ["foo"],
            "text_bytes": {"b64": "aGVsbG8="},
            "yes": true
        },
        {
            "number": 9.0,
            "pairs": [3, 4],
            "text": ["b\\"é"],
            "text_bytes": {"b64": "/w=="},
            "yes": false
        }
    ]
}"""
    )


def test_columns_of_several_shapes():
    outputs = tensors(a=[[1], [2]], b=np.float32(0.5), c=strings([b"x"]))

    assert (
        json_requests.from_tensors(outputs, Format.COLUMNAR).decode()
        == """{
    "outputs": {
        "a": [
            [
                1
            ],
            [
                2
            ]
        ],
        "b": 0.5,
        "c": [
            "x"
        ]
    }
}"""
    )
    assert json.loads(json_requests.from_tensors(tensors(a=[[1], [2]]), Format.COLUMNAR)) == {"outputs": [[1], [2]]}


@pytest.mark.parametrize(
    ("values", "dtype", "text"),
    [
        (
            [9000000, 999999, 0.5, 0.0003, 0.00003, 555557.5, 0.2],
            np.float32,
            "9e+06, 999999.0, 0.5, 0.0003, 3e-05, 555557.5, 0.2",
        ),
        ([0.12345679, 16777217, -0.0, 3.4028235e38], np.float32, "0.123456791, 16777216.0, -0.0, 3.40282347e+38"),
        ([0.1, 1 / 3, 123456789.0], np.float64, "0.1, 0.33333333333333331, 123456789.0"),
        ([np.nan, np.inf, 3, -np.inf], np.float32, "NaN, Infinity, 3.0, -Infinity"),
        ([-(2**63), 2**63 - 1], np.int64, "-9223372036854775808, 9223372036854775807"),
        ([2**64 - 1], np.uint64, "18446744073709551615"),
        ([2**32 - 1], np.uint32, "4294967295"),
        ([-1], np.int8, "-1"),
    ],
)
def test_numbers(values, dtype, text):
    body = json_requests.from_tensors(tensors(x=np.array(values, dtype)), Format.ROW).decode()
    assert body == f'{{\n    "predictions": [{text}\n    ]\n}}'


def test_strings_are_written_as_they_are():
    body = json_requests.from_tensors(tensors(x=strings([b"\xff\n"])), Format.ROW)
    assert body == b'{\n    "predictions": ["\xff\\n"\n    ]\n}'


@pytest.mark.parametrize("outputs", [{"x": np.zeros([0, 2])}, {"x": np.zeros([0, 3]), "y": np.zeros([0, 1, 2], bool)}])
def test_empty_batches(outputs):
    assert json.loads(json_requests.from_tensors(tensors(**outputs), Format.ROW)) == {"predictions": []}


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({}, "Cannot convert empty tensor map to JSON"),
        ({"x": np.float32(1)}, "Tensor name: x has no shape information "),
        ({"x": [1, 2], "y": [1]}, "Tensor name: y has inconsistent batch size: 1 expecting: 2"),
        ({"x": np.zeros(2, np.complex64)}, "Failed to write JSON value for tensor type: complex64"),
        ({"x": np.zeros(2, np.float16)}, "Failed to write JSON value for tensor type: half"),
    ],
)
def test_outputs_that_cannot_be_rows(outputs, message):
    refused = refusal(json_requests.from_tensors, tensors(**outputs), Format.ROW)
    assert refused == (StatusCode.INVALID_ARGUMENT, message)


def test_classifications():
    result = text_format.Parse(
        """
        classifications { classes { label: "car" score: 0.2 } classes { score: 0.7 } }
        classifications { classes { label: "a\\"b" score: nan } }
        """,
        classification_pb2.ClassificationResult(),
    )

    assert (
        json_requests.from_classifications(result).decode()
        == """{
    "results": [[["car", 0.2], ["", 0.7]], [["a\\"b", NaN]]
    ]
}"""
    )


def test_regressions():
    result = regression_pb2.RegressionResult()
    for value in (0.2, np.inf, 1):
        result.regressions.add(value=value)

    assert json_requests.from_regressions(result).decode() == '{\n    "results": [0.2, Infinity, 1.0]\n}'


def test_empty_results():
    assert refusal(json_requests.from_classifications, classification_pb2.ClassificationResult()) == (
        StatusCode.INVALID_ARGUMENT,
        "Cannot convert empty ClassificationResults to JSON",
    )
    assert refusal(json_requests.from_regressions, regression_pb2.RegressionResult()) == (
        StatusCode.INVALID_ARGUMENT,
        "Cannot convert empty RegressionResults to JSON",
    )


def test_errors():
    assert json.loads(json_requests.from_error('Bad key: "key"')) == {"error": 'Bad key: "key"'}


def test_of_an_input_that_comes_twice_in_a_row_each_value_counts():
    """TF Serving goes through a row's members, and the tensor holds as many values as its shape says."""
    request, _ = filled('{"instances": [{"default": 1, "default": 2}]}', DEFAULT_INT)
    assert list(request.inputs["default"].int_val) == [1, 2]
    assert to_array(request.inputs["default"]).tolist() == [1]
