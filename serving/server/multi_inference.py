"""MultiInference: the same tf.Examples classified and regressed by several signatures of one model.

Checks and messages after TF Serving's servables/tensorflow/multi_inference.cc.
"""

from grpc import StatusCode
from tensorflow_serving.apis import classification_pb2, inference_pb2, regression_pb2

from serving.server import examples, monitoring
from serving.server.classify import classify
from serving.server.regress import regress
from serving.server.servable import DEFAULT_SIGNATURE, Servable
from serving.server.status import StatusError, invalid_argument

_CLASSIFY, _REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


def multi_inference(
    servable: Servable, request: inference_pb2.MultiInferenceRequest, timeout_s: float | None = None
) -> inference_pb2.MultiInferenceResponse:
    """Answers a MultiInference request.

    Args:
        servable: the model, which the first task's model spec has led to.
        request: tasks, each with a signature and its method, and examples for all of them.
        timeout_s: seconds that the model may take; None is any.

    Returns:
        A result for each task, in their order.

    Raises:
        StatusError: the tasks are not of one model, or not of a signature and a method each; or one fails.
    """
    _check(servable, request)
    response = inference_pb2.MultiInferenceResponse()
    for task in request.tasks:
        result = response.results.add()
        if task.method_name == _CLASSIFY:
            classified = classify(
                servable,
                classification_pb2.ClassificationRequest(model_spec=task.model_spec, input=request.input),
                timeout_s,
            )
            result.model_spec.CopyFrom(classified.model_spec)
            result.classification_result.CopyFrom(classified.result)
        else:
            regressed = regress(
                servable,
                regression_pb2.RegressionRequest(model_spec=task.model_spec, input=request.input),
                timeout_s,
            )
            result.model_spec.CopyFrom(regressed.model_spec)
            result.regression_result.CopyFrom(regressed.result)
    count = examples.count(request.input)
    monitoring.request_example_counts.add(count, servable.id.name)
    monitoring.request_example_count_total.add(count, servable.id.name)
    return response


def _check(servable: Servable, request: inference_pb2.MultiInferenceRequest) -> None:
    signatures = set()
    for task in request.tasks:
        if not task.model_spec.name:
            raise invalid_argument("Found ModelSpec with an empty model name.")
        if task.model_spec.name != request.tasks[0].model_spec.name:
            raise invalid_argument("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        signature = task.model_spec.signature_name or DEFAULT_SIGNATURE
        if signature in signatures:
            raise invalid_argument(f"Duplicate evaluation of signature: {signature}")
        signatures.add(signature)
        if signature not in servable.signature_defs:
            raise invalid_argument(f"Requested signature not found in model graph: {signature}")
        if task.method_name not in (_CLASSIFY, _REGRESS):
            raise StatusError(StatusCode.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}")
