"""The API over gRPC: tensorflow.serving.PredictionService and tensorflow.serving.ModelService."""

import logging
from collections.abc import Callable
from typing import TypeVar

import grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from serving.server import monitoring
from serving.server.api import Api
from serving.server.status import StatusError

_log = logging.getLogger(__name__)
_MAX_MESSAGE_BYTES = 1024  # as TF Serving; a status travels in HTTP/2 trailers, which are limited

Request = TypeVar("Request")
Response = TypeVar("Response")


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
    """Inference and metadata."""

    def __init__(self, api: Api) -> None:
        """Creates a service that answers with `api`."""
        self._api = api

    def Predict(  # noqa: N802 (the service's name for it)
        self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> predict_pb2.PredictResponse:
        """Tensors in, tensors out."""
        return _infer(self._api.predict, request, context, counted_as="Predict")

    def Classify(  # noqa: N802 (the service's name for it)
        self, request: classification_pb2.ClassificationRequest, context: grpc.ServicerContext
    ) -> classification_pb2.ClassificationResponse:
        """Examples in, classes and scores out."""
        return _infer(self._api.classify, request, context, counted_as="Classify")

    def Regress(  # noqa: N802 (the service's name for it)
        self, request: regression_pb2.RegressionRequest, context: grpc.ServicerContext
    ) -> regression_pb2.RegressionResponse:
        """Examples in, values out."""
        return _infer(self._api.regress, request, context, counted_as="Regress")

    def MultiInference(  # noqa: N802 (the service's name for it)
        self, request: inference_pb2.MultiInferenceRequest, context: grpc.ServicerContext
    ) -> inference_pb2.MultiInferenceResponse:
        """Examples in, the results of several signatures out."""
        return _infer(self._api.multi_inference, request, context)

    def GetModelMetadata(  # noqa: N802 (the service's name for it)
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, context: grpc.ServicerContext
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """A model's signatures."""
        return _answer(self._api.get_model_metadata, request, context)


class ModelService(model_service_pb2_grpc.ModelServiceServicer):  # type: ignore[misc]
    """The models' state and configuration."""

    def __init__(self, api: Api) -> None:
        """Creates a service that answers with `api`."""
        self._api = api

    def GetModelStatus(  # noqa: N802 (the service's name for it)
        self, request: get_model_status_pb2.GetModelStatusRequest, context: grpc.ServicerContext
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """The state of a model's versions."""
        return _answer(self._api.get_model_status, request, context)

    def HandleReloadConfigRequest(  # noqa: N802 (the service's name for it)
        self, request: model_management_pb2.ReloadConfigRequest, context: grpc.ServicerContext
    ) -> model_management_pb2.ReloadConfigResponse:
        """Changes the models, versions and labels."""
        return _answer(self._api.reload_config, request, context)


def _infer(
    method: Callable[[Request, float | None], Response],
    request: Request,
    context: grpc.ServicerContext,
    counted_as: str = "",
) -> Response:
    """The answer of a method that runs a model. The time limit is the client's deadline."""
    return _answer(lambda request: method(request, context.time_remaining()), request, context, counted_as)


def _answer(
    method: Callable[[Request], Response], request: Request, context: grpc.ServicerContext, counted_as: str = ""
) -> Response:
    """The answer of a method. An error becomes the status of the call, without a stack trace.

    Args:
        method: the method.
        request: the request of the call.
        context: the call.
        counted_as: the name of the method in the metrics; "" if it is not counted.
    """
    watch = monitoring.Stopwatch()
    code, message = grpc.StatusCode.OK, ""
    response: Response | None = None
    try:
        if not context.is_active():  # the client's deadline passed while the request waited for a thread
            raise StatusError(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
        response = method(request)
    except StatusError as error:
        code, message = error.code, error.message
    except Exception:
        _log.exception("A request failed in an unforeseen way")
        code, message = grpc.StatusCode.INTERNAL, "The server failed to answer; its log says why."
    if counted_as:
        monitoring.record_request(request.model_spec.name, counted_as, "GRPC", code, watch)  # type: ignore[attr-defined]
    if response is not None:
        return response
    if len(content := message.encode()) > _MAX_MESSAGE_BYTES:
        message = content[:_MAX_MESSAGE_BYTES].decode(errors="ignore") + "...TRUNCATED"
    context.abort(code, message)
    raise AssertionError("unreachable: abort raises")
