"""GetModelMetadata and GetModelStatus: TF Serving's get_model_metadata_impl.cc, get_model_status_impl.cc and
file_system_storage_path_source.cc.
"""

import pytest
from grpc import StatusCode
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_pb2

from tests.serving.asking import TIMEOUT_S, error_of
from tests.serving.conformance.conftest import spec

_State = get_model_status_pb2.ModelVersionStatus.State


def metadata_request(model_spec, *fields):
    return get_model_metadata_pb2.GetModelMetadataRequest(model_spec=model_spec, metadata_field=fields)


def status_request(model_spec):
    return get_model_status_pb2.GetModelStatusRequest(model_spec=model_spec)


@pytest.mark.parametrize(
    ("asked", "version"),
    [
        (spec("linear"), 2),
        (spec("linear", 1), 1),
        (spec("linear", label="stable"), 1),
        (spec("linear", signature="nobody"), 2),
        (spec("padded"), 7),
    ],
    ids=str,
)
def test_metadata(prediction, asked, version):
    response = prediction.GetModelMetadata(metadata_request(asked, "signature_def"), timeout=TIMEOUT_S)
    signatures = get_model_metadata_pb2.SignatureDefMap()

    assert response.model_spec == spec(asked.name, version)
    assert list(response.metadata) == ["signature_def"]
    assert response.metadata["signature_def"].Unpack(signatures)
    assert list(signatures.signature_def) == ["serving_default"]
    signature = signatures.signature_def["serving_default"]
    assert (signature.method_name, list(signature.inputs), list(signature.outputs)) == (
        "tensorflow/serving/predict",
        ["x"],
        ["y"],
    )
    assert (signature.inputs["x"].name, signature.inputs["x"].dtype) == ("x:0", types_pb2.DT_FLOAT)
    assert [dim.size for dim in signature.inputs["x"].tensor_shape.dim] == [-1]


def test_metadata_says_the_defaults_of_inputs(prediction):
    response = prediction.GetModelMetadata(metadata_request(spec("types"), "signature_def"), timeout=TIMEOUT_S)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)

    assert set(signatures.signature_def["defaults"].defaults) == {"scale", "shift"}


def test_a_field_may_be_asked_for_twice(prediction):
    request = metadata_request(spec("linear"), "signature_def", "signature_def")

    assert list(prediction.GetModelMetadata(request, timeout=TIMEOUT_S).metadata) == ["signature_def"]


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (metadata_request(None, "signature_def"), StatusCode.INVALID_ARGUMENT, "Missing ModelSpec"),
        (metadata_request(None), StatusCode.INVALID_ARGUMENT, "Missing ModelSpec"),
        (
            metadata_request(spec("linear")),
            StatusCode.INVALID_ARGUMENT,
            "GetModelMetadataRequest must specify at least one metadata_field",
        ),
        (
            metadata_request(spec("nobody")),
            StatusCode.INVALID_ARGUMENT,
            "GetModelMetadataRequest must specify at least one metadata_field",
        ),
        (
            metadata_request(spec("linear"), "graph"),
            StatusCode.INVALID_ARGUMENT,
            "Metadata field graph is not supported",
        ),
        (
            metadata_request(spec("nobody"), "signature_def", ""),
            StatusCode.INVALID_ARGUMENT,
            "Metadata field  is not supported",
        ),
        (
            metadata_request(model_pb2.ModelSpec(), "signature_def"),
            StatusCode.INVALID_ARGUMENT,
            "ModelSpec has no name specified.",
        ),
        (
            metadata_request(spec("nobody"), "signature_def"),
            StatusCode.NOT_FOUND,
            "Servable not found for request: Latest(nobody)",
        ),
        (
            metadata_request(spec("linear", 3), "signature_def"),
            StatusCode.NOT_FOUND,
            "Servable not found for request: Specific(linear, 3)",
        ),
        (
            metadata_request(spec("linear", label="best"), "signature_def"),
            StatusCode.INVALID_ARGUMENT,
            "Unrecognized servable version label: best",
        ),
    ],
    ids=str,
)
def test_metadata_that_is_not_to_be_had(prediction, request_, code, message):
    assert error_of(prediction.GetModelMetadata, request_) == (code, message)


@pytest.mark.parametrize(
    ("asked", "versions"),
    [
        (spec("linear"), [2, 1]),
        (spec("latest"), [3, 2]),
        (spec("all"), [3, 1]),
        (spec("padded"), [7]),
        (spec("padded", 7), [7]),
        (spec("linear", 1), [1]),
        (spec("linear", signature="nobody"), [2, 1]),
        # A label chooses nothing here.
        (spec("linear", label="stable"), [2, 1]),
        (spec("linear", label="best"), [2, 1]),
    ],
    ids=str,
)
def test_status_lists_the_newest_version_first(model_service, asked, versions):
    statuses = model_service.GetModelStatus(status_request(asked), timeout=TIMEOUT_S).model_version_status

    assert [status.version for status in statuses] == versions
    assert {status.state for status in statuses} == {_State.Value("AVAILABLE")}
    assert all(status.HasField("status") for status in statuses)
    assert {(status.status.error_code, status.status.error_message) for status in statuses} == {(0, "")}


@pytest.mark.parametrize(
    ("asked", "code", "message"),
    [
        (None, StatusCode.INVALID_ARGUMENT, "Missing ModelSpec"),
        (model_pb2.ModelSpec(), StatusCode.NOT_FOUND, "Could not find any versions of model "),
        (spec("nobody"), StatusCode.NOT_FOUND, "Could not find any versions of model nobody"),
        (spec("nobody", 1), StatusCode.NOT_FOUND, "Could not find version 1 of model nobody"),
        (spec("linear", 3), StatusCode.NOT_FOUND, "Could not find version 3 of model linear"),
        (spec("linear", -1), StatusCode.NOT_FOUND, "Could not find version -1 of model linear"),
        (spec("latest", 1), StatusCode.NOT_FOUND, "Could not find version 1 of model latest"),
    ],
    ids=str,
)
def test_status_of_what_was_never_there(model_service, asked, code, message):
    assert error_of(model_service.GetModelStatus, status_request(asked)) == (code, message)
