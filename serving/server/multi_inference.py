"""MultiInference: the same tf.Examples classified and regressed by several signatures of one model.

Checks and messages follow TF Serving's servables/tensorflow/multi_inference.cc.
"""

from grpc import StatusCode
from tensorflow_serving.apis import inference_pb2

from serving.server import classify, examples, monitoring, regress
from serving.server.servable import DEFAULT_SIGNATURE, Servable, resolved_spec
from serving.server.status import StatusError, invalid_argument

_CLASSIFY, _REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


def multi_inference(
    servable: Servable, request: inference_pb2.MultiInferenceRequest, timeout_s: float | None = None
) -> inference_pb2.MultiInferenceResponse:
    """Answers a MultiInference request.

    Args:
        servable: the model, to which the first task's model spec has been resolved.
        request: tasks, each with a signature and its method, and the examples for all of them.
        timeout_s: the time limit of the model for each task in seconds; None is no limit.

    Returns:
        A result for each task, in the order of the tasks.

    Raises:
        StatusError: the tasks name different models or repeat a signature, a signature does not fit its method, or a
            task fails.
    """
    outputs = _outputs(servable, request)
    inputs = examples.serialized(request.input)
    computed = [
        dict(zip(chosen, servable.run(signature, {examples.INPUTS: inputs}, chosen, timeout_s), strict=True))
        for signature, chosen in outputs.items()
    ]
    monitoring.request_example_counts.add(len(inputs), servable.id.name)
    monitoring.request_example_count_total.add(len(inputs), servable.id.name)
    response = inference_pb2.MultiInferenceResponse()
    for task, signature, arrays in zip(request.tasks, outputs, computed, strict=True):
        result = response.results.add(model_spec=resolved_spec(servable, signature))
        if task.method_name == _CLASSIFY:
            classify.fill_result(result.classification_result, arrays, len(inputs))
        else:
            regress.fill_result(result.regression_result, arrays, len(inputs))
    return response


def _outputs(servable: Servable, request: inference_pb2.MultiInferenceRequest) -> dict[str, list[str]]:
    """Signature -> the outputs that its task needs, in the order of the tasks."""
    outputs: dict[str, list[str]] = {}
    for task in request.tasks:
        if not task.model_spec.name:
            raise invalid_argument("Found ModelSpec with an empty model name.")
        if task.model_spec.name != request.tasks[0].model_spec.name:
            raise invalid_argument("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE
        if name in outputs:
            raise invalid_argument(f"Duplicate evaluation of signature: {name}")
        signature = servable.signature_defs.get(name)
        if signature is None:
            raise invalid_argument(f"Requested signature not found in model graph: {name}")
        if task.method_name == _CLASSIFY:
            outputs[name] = classify.outputs(signature)
        elif task.method_name == _REGRESS:
            outputs[name] = regress.outputs(signature)
        else:
            raise StatusError(StatusCode.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}")
    return outputs
