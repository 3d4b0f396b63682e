"""GetModelStatus: the versions of a model with their states and errors.

After TF Serving's model_servers/get_model_status_impl.cc.
"""

from tensorflow_serving.apis import get_model_status_pb2

from serving.server.manager import Manager
from serving.server.status import invalid_argument, not_found


def get_model_status(
    manager: Manager, request: get_model_status_pb2.GetModelStatusRequest
) -> get_model_status_pb2.GetModelStatusResponse:
    """Answers a GetModelStatus request with the version that it names, or else with all versions, newest first.

    Raises:
        StatusError: no such version exists or has existed.
    """
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    name = request.model_spec.name
    statuses = manager.statuses(name)
    if request.model_spec.HasField("version"):
        number = request.model_spec.version.value
        statuses = [status for status in statuses if status.version == number]
        if not statuses:
            raise not_found(f"Could not find version {number} of model {name}")
    elif not statuses:
        raise not_found(f"Could not find any versions of model {name}")
    response = get_model_status_pb2.GetModelStatusResponse()
    for version, state, error in statuses:
        status = response.model_version_status.add(version=version, state=int(state))
        if error is None:
            status.status.SetInParent()
        else:
            status.status.error_code = error.number
            status.status.error_message = error.message
    return response
