"""All requests that the server answers, independent of the transport: protocol message in, protocol message out."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_pb2,
    predict_pb2,
    regression_pb2,
)

from serving.server import monitoring
from serving.server.classify import classify
from serving.server.core import Core
from serving.server.manager import Manager
from serving.server.metadata import get_model_metadata
from serving.server.model_status import get_model_status
from serving.server.multi_inference import multi_inference
from serving.server.predict import predict
from serving.server.regress import regress
from serving.server.request_log import RequestLogs
from serving.server.servable import DEFAULT_SIGNATURE, Servable
from serving.server.status import invalid_argument

Response = TypeVar("Response")


class Api:
    """TF Serving's API without a transport.

    Every method raises a StatusError if the request fails. Methods that run a model take a time limit in seconds.
    """

    def __init__(self, manager: Manager, core: Core, logs: RequestLogs) -> None:
        """Creates an API to the models of `manager`, which `core` configures; `logs` receives answered requests."""
        self._manager = manager
        self._logs = logs
        self._core = core

    def predict(
        self, request: predict_pb2.PredictRequest, timeout_s: float | None = None
    ) -> predict_pb2.PredictResponse:
        """Tensors in, tensors out."""
        return self._ask(predict, request, timeout_s)

    def classify(
        self, request: classification_pb2.ClassificationRequest, timeout_s: float | None = None
    ) -> classification_pb2.ClassificationResponse:
        """Examples in, classes and scores out."""
        return self._ask(classify, request, timeout_s)

    def regress(
        self, request: regression_pb2.RegressionRequest, timeout_s: float | None = None
    ) -> regression_pb2.RegressionResponse:
        """Examples in, values out."""
        return self._ask(regress, request, timeout_s)

    def multi_inference(
        self, request: inference_pb2.MultiInferenceRequest, timeout_s: float | None = None
    ) -> inference_pb2.MultiInferenceResponse:
        """Examples in, the results of several signatures out."""
        spec = request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()
        with self._manager.servable(spec) as servable:
            response = multi_inference(servable, request, timeout_s)
        self._logs.log(request, response)
        return response

    def get_model_metadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """A model's signatures."""
        return get_model_metadata(self._manager, request)

    def get_model_status(
        self, request: get_model_status_pb2.GetModelStatusRequest
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """The state of a model's versions."""
        return get_model_status(self._manager, request)

    def inputs(self, spec: model_pb2.ModelSpec, signature: str) -> Mapping[str, meta_graph_pb2.TensorInfo]:
        """The inputs of a signature ("" is the default one), from which REST builds Predict requests."""
        name = signature or DEFAULT_SIGNATURE
        with self._manager.servable(spec) as servable:
            definition = servable.signature_defs.get(name)
        if definition is None:
            raise invalid_argument(f'Serving signature name: "{name}" not found in signature def')
        inputs: Mapping[str, meta_graph_pb2.TensorInfo] = definition.inputs
        return inputs

    def reload_config(
        self, request: model_management_pb2.ReloadConfigRequest
    ) -> model_management_pb2.ReloadConfigResponse:
        """Switches to another configuration and waits until new models are served.

        The response has the increase of the requested metrics in the meantime.
        """
        before = monitoring.first_counts(request.metric_names)
        self._core.reload(request.config)
        response = model_management_pb2.ReloadConfigResponse()
        response.status.SetInParent()
        for name, count in monitoring.first_counts(before).items():
            response.metric.add(name=name, int64_value_increase=count - before[name])
        return response

    def _ask(
        self, answer: Callable[[Servable, Any, float | None], Response], request: Any, timeout_s: float | None
    ) -> Response:
        if not request.HasField("model_spec"):
            raise invalid_argument("Missing ModelSpec")
        with self._manager.servable(request.model_spec) as servable:
            response = answer(servable, request, timeout_s)
        self._logs.log(request, response)
        return response
