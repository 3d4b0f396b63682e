"""GetModelMetadata: the signatures of a model.

After TF Serving's servables/tensorflow/get_model_metadata_impl.cc.
"""

from tensorflow_serving.apis import get_model_metadata_pb2

from serving.server.manager import Manager
from serving.server.status import invalid_argument

SIGNATURE_DEF = "signature_def"


def get_model_metadata(
    manager: Manager, request: get_model_metadata_pb2.GetModelMetadataRequest
) -> get_model_metadata_pb2.GetModelMetadataResponse:
    """Answers a GetModelMetadata request.

    Raises:
        StatusError: there is no such model, or the request asks for metadata other than `signature_def`.
    """
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    if not request.metadata_field:
        raise invalid_argument("GetModelMetadataRequest must specify at least one metadata_field")
    for field in request.metadata_field:
        if field != SIGNATURE_DEF:
            raise invalid_argument(f"Metadata field {field} is not supported")
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    with manager.servable(request.model_spec) as servable:
        response.model_spec.name = servable.id.name
        response.model_spec.version.value = servable.id.version
        signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=servable.signature_defs)
    response.metadata[SIGNATURE_DEF].Pack(signatures)
    return response
