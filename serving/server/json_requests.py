"""Converts JSON to requests, and responses to JSON.

Formats, checks and messages follow TF Serving's util/json_tensor.cc. The message of a refused request is that of its
first mistake, in the order in which TF Serving checks.
"""

import base64
import enum
import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from grpc import StatusCode
from tensorflow.core.example import example_pb2, feature_pb2
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import classification_pb2, model_pb2, predict_pb2, regression_pb2

from serving.server.json_document import (
    MISSING,
    Json,
    JsonError,
    Members,
    PrettyWriter,
    abbreviated,
    bytes_text,
    parse,
    quoted,
    text_bytes,
    type_name,
)
from serving.server.status import StatusError, invalid_argument

Inputs: TypeAlias = Mapping[str, meta_graph_pb2.TensorInfo]

_MAX_DIMENSIONS = 254  # TensorFlow's
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?")


class Format(enum.Enum):
    """The arrangement of tensors in a Predict request and its response. The value is the key in the response."""

    ROW = "predictions"
    COLUMNAR = "outputs"


@dataclass(frozen=True)
class _Encoding:
    """The JSON values that a tensor of a type may hold, and their field in a TensorProto.

    Attributes:
        field: the name of the `*_val` field.
        types: the types of the values.
        limits: the range of integers; None for other types.
    """

    field: str
    types: frozenset[type]
    limits: range | None = None


_INT = _Encoding("int_val", frozenset({int}), range(-(2**31), 2**31))  # smaller types wrap, as in C++
_ENCODINGS = {
    types_pb2.DT_FLOAT: _Encoding("float_val", frozenset({int, float})),
    types_pb2.DT_DOUBLE: _Encoding("double_val", frozenset({int, float})),
    types_pb2.DT_INT8: _INT,
    types_pb2.DT_INT16: _INT,
    types_pb2.DT_INT32: _INT,
    types_pb2.DT_UINT8: _INT,
    types_pb2.DT_INT64: _Encoding("int64_val", frozenset({int}), range(-(2**63), 2**63)),
    types_pb2.DT_UINT32: _Encoding("uint32_val", frozenset({int}), range(2**32)),
    types_pb2.DT_UINT64: _Encoding("uint64_val", frozenset({int}), range(2**64)),
    types_pb2.DT_BOOL: _Encoding("bool_val", frozenset({bool})),
    types_pb2.DT_STRING: _Encoding("string_val", frozenset({str})),
}


def fill_predict_request(
    request: predict_pb2.PredictRequest, body: bytes, inputs_of: Callable[[str], Inputs]
) -> Format:
    """Fills a request's signature and inputs.

    Args:
        request: the request to fill.
        body: a JSON object: `{"signature_name": …, "instances": […]}` (in rows: an item for each example) or
            `{"signature_name": …, "inputs": {…}}` (in columns: an item for each tensor).
        inputs_of: a function from a signature's name to its inputs; "" is the default signature.

    Returns:
        The arrangement of the body.

    Raises:
        StatusError: the body is not such an object, or does not fit the signature.
    """
    document = _document(body)
    _fill_signature(request.model_spec, document)
    inputs = inputs_of(request.model_spec.signature_name)
    if not inputs:
        name = request.model_spec.signature_name or "DEFAULT"
        raise invalid_argument(f"Failed to get input map for signature: {name}")
    instances, columns = document.find("instances"), document.find("inputs")
    if instances is MISSING and columns is MISSING:
        raise invalid_argument("Missing 'inputs' or 'instances' key")
    if instances is MISSING:
        _fill_from_columns(request.inputs, columns, inputs)
        return Format.COLUMNAR
    if columns is not MISSING:
        raise _format_error(
            document, "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "
        )
    if not _is_array(instances):
        raise _format_error(document, "Expecting 'instances' to be an list/array")
    if not instances:
        raise _format_error(document, "No values in 'instances' array")
    _fill_from_rows(request.inputs, instances, inputs)
    return Format.ROW


def fill_examples_request(
    request: classification_pb2.ClassificationRequest | regression_pb2.RegressionRequest, body: bytes
) -> None:
    """Fills a request's signature and examples.

    Args:
        request: the request to fill.
        body: a JSON object, `{"signature_name": …, "context": {…}, "examples": [{…}, …]}`. An example is an object
            of features, each of which is a value or a list of values.

    Raises:
        StatusError: the body is not such an object.
    """
    document = _document(body)
    _fill_signature(request.model_spec, document)
    source: Any = request.input.example_list
    context = document.find("context")
    if context is not MISSING:
        source = request.input.example_list_with_context
        _fill_example(source.context, context)
    examples = document.find("examples")
    if examples is MISSING:
        raise _format_error(document, "When method is classify, key 'examples' is expected and was not found")
    if not _is_array(examples):
        raise _format_error(document, "Expecting 'examples' value to be an list/array")
    if not examples:
        raise _format_error(document, "'examples' value is an empty array")
    for example in examples:
        _fill_example(source.examples.add(), example)


def from_tensors(tensors: Mapping[str, tensor_pb2.TensorProto], arrangement: Format) -> bytes:
    """Converts the outputs of a Predict response to JSON, arranged like the request.

    Args:
        tensors: tensors with their values in the `*_val` fields. Strings are text, or bytes (in base64) if the tensor's
            name ends in `_bytes`.
        arrangement: the arrangement of the request. In rows, each tensor's first dimension is the batch.

    Raises:
        StatusError: there are no tensors, JSON cannot represent a tensor's type, or tensors with different batch sizes
            should be arranged in rows.
    """
    if not tensors:
        raise invalid_argument("Cannot convert empty tensor map to JSON")
    in_rows = arrangement is Format.ROW
    batch_size = _batch_size(tensors) if in_rows else 1
    values = [_Values(name, tensor, first_dimension=int(in_rows)) for name, tensor in sorted(tensors.items())]

    def write(writer: PrettyWriter) -> None:
        if not in_rows:
            _write_next(writer, values, single_line_arrays=False)
            return
        writer.start("[")
        for _ in range(batch_size):
            _write_next(writer, values, single_line_arrays=True)
        writer.end()

    return _response(arrangement.value, write)


def from_classifications(result: classification_pb2.ClassificationResult) -> bytes:
    """Converts the result of a Classify response to JSON: for each example, a list of pairs of label and score.

    Raises:
        StatusError: the result is empty.
    """
    if not result.classifications:
        raise invalid_argument("Cannot convert empty ClassificationResults to JSON")

    def write(writer: PrettyWriter) -> None:
        writer.start("[")
        for classifications in result.classifications:
            scores = _decimals([one.score for one in classifications.classes], np.float32)
            writer.single_line_arrays = True
            writer.start("[")
            for one, score in zip(classifications.classes, scores, strict=True):
                writer.array([quoted(one.label), score])
            writer.end()
            writer.single_line_arrays = False
        writer.end()

    return _response("results", write)


def from_regressions(result: regression_pb2.RegressionResult) -> bytes:
    """Converts the result of a Regress response to JSON: a value for each example.

    Raises:
        StatusError: the result is empty.
    """
    if not result.regressions:
        raise invalid_argument("Cannot convert empty RegressionResults to JSON")
    values = _decimals([regression.value for regression in result.regressions], np.float32)
    return _response("results", lambda writer: writer.array(values), single_line_arrays=True)


def from_error(message: str) -> bytes:
    """Converts an error message to JSON."""
    return _response("error", lambda writer: writer.string(message))


def _response(key: str, write: Callable[[PrettyWriter], None], single_line_arrays: bool = False) -> bytes:
    """Writes an object with one key, whose value `write` writes."""
    writer = PrettyWriter(single_line_arrays)
    writer.start("{")
    writer.string(key)
    write(writer)
    writer.end()
    return text_bytes(writer.text())


def _document(body: bytes) -> Members:
    try:
        document = parse(body)
    except JsonError as error:
        raise invalid_argument(f"JSON Parse error: {error}") from error
    if not isinstance(document, Members):
        raise _format_error(document, "Is not object")
    return document


def _fill_signature(spec: model_pb2.ModelSpec, document: Members) -> None:
    name = document.find("signature_name")
    if name is MISSING:
        return
    if not isinstance(name, str):
        raise _format_error(document, "not formatted correctly. 'signature_name' key must be a string value.")
    spec.signature_name = _readable(name)


def _fill_from_rows(tensors: Any, instances: list[Json], inputs: Inputs) -> None:
    if not isinstance(instances[0], Members) and len(inputs) > 1:
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    columns = _transposed(instances, inputs)
    try:
        for name, column in columns.items():
            _fill_tensor(tensors[name], column, inputs[name].dtype)
    except StatusError:  # the code below finds the row
        tensors.clear()
    else:
        if columns:
            return
    are_objects = _is_plain_object(instances[0])
    rows = _Rows(tensors, inputs)
    for number, instance in enumerate(instances):
        place = f"Failed to process element: {number}"
        if not are_objects:
            if _is_plain_object(instance):
                raise invalid_argument(f"Expecting value/list but got object at item {number} of input list")
            rows.add(min(inputs), instance, place)
            continue
        if not _is_plain_object(instance):
            raise invalid_argument(f"Expecting object but got list at item {number} of input list")
        for name, value in instance:
            rows.add(name, value, f"{place} key: {name}")
        if {name for name, _ in instance} != inputs.keys():
            raise invalid_argument(
                f"{place} of 'instances' list. JSON object: {abbreviated(instance)} keys must be equal to: "
                f"{','.join(sorted(inputs))}"
            )
    rows.finish(len(instances))


def _transposed(instances: list[Json], inputs: Inputs) -> Mapping[str, list[Json]]:
    """Converts rows to columns, which are faster to read; returns nothing unless each row has each input once."""
    if not _is_plain_object(instances[0]):
        return {min(inputs): instances} if len(inputs) == 1 else {}
    rows = [dict(row) if _is_plain_object(row) and len(row) == len(inputs) else {} for row in instances]
    if any(row.keys() != inputs.keys() for row in rows):
        return {}
    return {name: [row[name] for row in rows] for name in inputs}


class _Rows:
    """Tensors that grow by one example at a time."""

    def __init__(self, tensors: Any, inputs: Inputs) -> None:
        self._tensors = tensors
        self._inputs = inputs
        self._shapes: dict[str, list[int]] = {}
        self._sizes: dict[str, int] = {}

    def add(self, name: str, value: Json, place: str) -> None:
        """Adds the values of one example; `place` is their place, for error messages."""
        try:
            self._add(name, value)
        except StatusError as error:
            raise invalid_argument(f"{place} of 'instances' list. Error: {error.code.name}: {error.message}") from error

    def finish(self, count: int) -> None:
        """Writes the types and shapes of all tensors, which hold `count` examples."""
        for name, shape in self._shapes.items():
            _fill_header(self._tensors[name], self._inputs[name].dtype, [count, *shape])

    def _add(self, name: str, value: Json) -> None:
        if name not in self._inputs:
            raise invalid_argument(f"JSON object: does not have named input: {name}")
        shape = _shape(value)
        size = _fill_values(self._tensors[name], value, self._inputs[name].dtype, shape)
        if name not in self._shapes:
            self._shapes[name], self._sizes[name] = shape, size
        elif self._sizes[name] != size:
            raise invalid_argument(f"Expecting tensor size: {self._sizes[name]} but got: {size}")
        elif self._shapes[name] != shape:
            raise invalid_argument(f"Expecting shape {_listed(self._shapes[name])} but got: {_listed(shape)}")


def _fill_from_columns(tensors: Any, columns: Json, inputs: Inputs) -> None:
    if not _is_plain_object(columns):
        if len(inputs) > 1:
            raise invalid_argument(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        columns = Members([(min(inputs), columns)])
    for name in sorted(inputs):
        value = columns.find(name)
        if value is MISSING:
            raise invalid_argument(f"Missing named input: {name} in 'inputs' object.")
        _fill_tensor(tensors[name], value, inputs[name].dtype)


def _fill_tensor(tensor: tensor_pb2.TensorProto, value: Json, data_type: int) -> None:
    shape = _shape(value)
    _fill_header(tensor, data_type, shape)
    _fill_values(tensor, value, data_type, shape)


def _fill_header(tensor: tensor_pb2.TensorProto, data_type: int, shape: Sequence[int]) -> None:
    tensor.dtype = data_type
    tensor.tensor_shape.SetInParent()
    for size in shape:
        tensor.tensor_shape.dim.add().size = size


def _shape(value: Json) -> list[int]:
    """A tensor's shape, judging by its first elements."""
    shape = []
    while _is_array(value):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    if len(shape) > _MAX_DIMENSIONS:
        raise invalid_argument(f"Expected a tensor of at most {_MAX_DIMENSIONS} dimensions, received {len(shape)}")
    return shape


def _fill_values(
    tensor: tensor_pb2.TensorProto, value: Json, data_type: int, shape: Sequence[int], level: int = 0
) -> int:
    """Adds a value or the values of a list to a tensor, and returns their number.

    Args:
        tensor: the tensor to fill.
        value: the value or list to add.
        data_type: the type of the tensor.
        shape: the shape of the whole value.
        level: the number of lists around this value.
    """
    rank = len(shape)
    if not _is_array(value):
        if level != rank:
            raise invalid_argument(
                f"JSON Value: {abbreviated(value)} found at incorrect level: {level + 1} in the JSON DOM. Expected "
                f"at level: {rank}"
            )
        _add_value(tensor, value, data_type)
        return 1
    if level >= rank:
        raise invalid_argument(f"Encountered list at unexpected level: {level} expected < {rank}")
    if len(value) != shape[level]:
        raise invalid_argument(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    if level == rank - 1 and _extend(tensor, value, data_type):
        return len(value)
    return sum(_fill_values(tensor, item, data_type, shape, level + 1) for item in value)


def _extend(tensor: tensor_pb2.TensorProto, values: list[Json], data_type: int) -> bool:
    """Adds a list of values at once, and returns whether all could be added: none is unexpected or needs decoding."""
    encoding = _ENCODINGS.get(data_type)
    if not values or encoding is None or not set(map(type, values)) <= encoding.types:
        return False
    if encoding.limits and not (min(values) in encoding.limits and max(values) in encoding.limits):
        return False
    getattr(tensor, encoding.field).extend(map(text_bytes, values) if data_type == types_pb2.DT_STRING else values)
    return True


def _add_value(tensor: tensor_pb2.TensorProto, value: Json, data_type: int) -> None:
    if isinstance(value, Members) and data_type == types_pb2.DT_STRING:
        tensor.string_val.append(_decoded(value))
        return
    if _extend(tensor, [value], data_type):
        return
    expected = _data_type_name(data_type)
    if data_type not in _ENCODINGS and not isinstance(value, Members):
        raise StatusError(
            StatusCode.UNIMPLEMENTED, f"Conversion of JSON Value: {abbreviated(value)} to type: {expected}"
        )
    raise invalid_argument(
        f"JSON Value: {abbreviated(value)} Type: {type_name(value)} is not of expected type: {expected}"
    )


def _fill_example(example: example_pb2.Example, value: Json) -> None:
    if not isinstance(value, Members):
        raise invalid_argument(f"Example must be JSON object but got JSON {type_name(value)}")
    for name, content in value:
        feature = feature_pb2.Feature()
        for item in content if _is_array(content) else [content]:
            _add_to_feature(feature, name, item)
        example.features.feature[_readable(name)].CopyFrom(feature)


_KINDS: Mapping[type, str] = {str: "bytes", Members: "bytes", float: "float", int: "int64", bool: "int64"}


def _add_to_feature(feature: feature_pb2.Feature, name: str, value: Json) -> None:
    kind = _KINDS.get(type(value))
    if kind is None or _is_plain_object(value):
        raise invalid_argument(f"Feature: {name} has element with unexpected JSON type: {type_name(value)}")
    field = f"{kind}_list"
    before = feature.WhichOneof("kind")
    if before not in (None, field):
        raise invalid_argument(
            f"Unexpected element type in feature: {name} expecting type: {before.removesuffix('_list')}"
        )
    if isinstance(value, int) and value >= 2**63:
        raise invalid_argument(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
    if kind == "bytes":
        value = text_bytes(value) if isinstance(value, str) else _decoded(value)
    elif kind == "int64":
        value = int(value)
    getattr(feature, field).value.append(value)


def _is_array(value: Json) -> bool:
    return type(value) is list


def _is_base64(value: Json) -> bool:
    return isinstance(value, Members) and len(value) == 1 and isinstance(value.find("b64"), str)


def _is_plain_object(value: Json) -> bool:
    return isinstance(value, Members) and not _is_base64(value)


def _decoded(value: Members) -> bytes:
    """The bytes in `{"b64": …}`. White space is ignored, and padding is optional."""
    if not _is_base64(value):
        raise invalid_argument(f"JSON Value: {abbreviated(value)} not formatted correctly for base64 data")
    text = "".join(value.find("b64").split())
    if not _BASE64.fullmatch(text):
        raise invalid_argument("Unable to base64 decode")
    return base64.b64decode(text + "=" * (-len(text) % 4))


def _readable(text: str) -> str:
    """A string that a protocol message can hold: bytes that are not UTF-8 are replaced."""
    return text_bytes(text).decode(errors="replace")


def _format_error(value: Json, what: str) -> StatusError:
    return invalid_argument(f"JSON Value: {abbreviated(value)} {what}")


def _listed(shape: Sequence[int]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _data_type_name(data_type: int) -> str:
    return str(types_pb2.DataType.Name(data_type)).removeprefix("DT_").lower()


def _batch_size(tensors: Mapping[str, tensor_pb2.TensorProto]) -> int:
    sizes: list[int] = []
    for name, tensor in sorted(tensors.items()):
        if not tensor.tensor_shape.dim:
            raise invalid_argument(f"Tensor name: {name} has no shape information ")
        sizes.append(tensor.tensor_shape.dim[0].size)
        if sizes[-1] != sizes[0]:
            raise invalid_argument(
                f"Tensor name: {name} has inconsistent batch size: {sizes[-1]} expecting: {sizes[0]}"
            )
    return sizes[0]


class _Values:
    """A tensor that is being written: an iterator over its values as JSON, and the shape of each part to write."""

    def __init__(self, name: str, tensor: tensor_pb2.TensorProto, first_dimension: int) -> None:
        self.name = name
        self.shape = [dim.size for dim in tensor.tensor_shape.dim[first_dimension:]]
        self.tokens = iter(_tokens(name, tensor))


def _write_next(writer: PrettyWriter, tensors: Sequence[_Values], single_line_arrays: bool) -> None:
    """Writes the next values of each tensor as an object, or the bare values if there is only one tensor."""
    if len(tensors) > 1:
        writer.start("{")
    writer.single_line_arrays = single_line_arrays
    for tensor in tensors:
        if len(tensors) > 1:
            writer.string(tensor.name)
        _write_nested(writer, tensor.tokens, tensor.shape)
    writer.single_line_arrays = False
    if len(tensors) > 1:
        writer.end()


def _write_nested(writer: PrettyWriter, tokens: Iterator[str], shape: Sequence[int]) -> None:
    if not shape:
        writer.value(next(tokens))
    elif len(shape) == 1:
        writer.array(list(itertools.islice(tokens, shape[0])))
    else:
        writer.start("[")
        for _ in range(shape[0]):
            _write_nested(writer, tokens, shape[1:])
        writer.end()


def _tokens(name: str, tensor: tensor_pb2.TensorProto) -> list[str]:
    """A tensor's values, each as JSON."""
    match tensor.dtype:
        case types_pb2.DT_FLOAT:
            return _decimals(tensor.float_val, np.float32)
        case types_pb2.DT_DOUBLE:
            return _decimals(tensor.double_val, np.float64)
        case types_pb2.DT_STRING if name.endswith("_bytes"):
            return [f'{{"b64": "{base64.b64encode(value).decode()}"}}' for value in tensor.string_val]
        case types_pb2.DT_STRING:
            return [quoted(bytes_text(value)) for value in tensor.string_val]
        case types_pb2.DT_BOOL:
            return ["true" if value else "false" for value in tensor.bool_val]
    encoding = _ENCODINGS.get(tensor.dtype)
    if encoding is not None:
        return list(map(str, getattr(tensor, encoding.field)))
    if math.prod(dim.size for dim in tensor.tensor_shape.dim):
        raise invalid_argument(f"Failed to write JSON value for tensor type: {_data_type_name(tensor.dtype)}")
    return []


def _decimals(values: Sequence[float], dtype: type[np.floating[Any]]) -> list[str]:
    """Numbers as TF Serving writes them: six digits if they are exact, else as many as always suffice."""
    digits = 9 if dtype is np.float32 else 17
    short = [f"{value:g}" for value in values]
    exact = np.array(list(map(float, short))).astype(dtype) == np.array(values, dtype)
    return [
        _with_point(text if same else f"{value:.{digits}g}")
        for text, same, value in zip(short, exact.tolist(), values, strict=True)
    ]


_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def _with_point(text: str) -> str:
    """Adds `.0` to whole numbers, and writes NaN and infinity as TF Serving does."""
    return text if "." in text or "e" in text else _NOT_FINITE.get(text, text + ".0")
