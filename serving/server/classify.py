"""Classify: tf.Examples in, classes with their scores out.

Checks and messages follow TF Serving's servables/tensorflow/classifier.cc.
"""

from collections.abc import Mapping

from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import classification_pb2

from serving.server import examples, monitoring
from serving.server.servable import DEFAULT_SIGNATURE, Servable, resolved_spec
from serving.server.status import invalid_argument
from serving.tensor_proto import Array, type_name

_OUTPUT_TYPES = {"classes": "DT_STRING", "scores": "DT_FLOAT"}


def classify(
    servable: Servable, request: classification_pb2.ClassificationRequest, timeout_s: float | None = None
) -> classification_pb2.ClassificationResponse:
    """Answers a Classify request.

    Args:
        servable: the model.
        request: the request. Its model spec has already been resolved to `servable`.
        timeout_s: the time limit of the model in seconds; None is no limit.

    Returns:
        The classes of each example, with labels and scores if the signature has them.

    Raises:
        StatusError: the signature is not for classification, or the model cannot compute it.
    """
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    chosen = outputs(examples.signature(servable, name))
    inputs = examples.serialized(request.input)
    with monitoring.runtime(servable.id.name, "Classify"):
        arrays = servable.run(name, {examples.INPUTS: inputs}, chosen, timeout_s)
    response = classification_pb2.ClassificationResponse(model_spec=resolved_spec(servable, name))
    fill_result(response.result, dict(zip(chosen, arrays, strict=True)), len(inputs))
    return response


def outputs(signature: meta_graph_pb2.SignatureDef) -> list[str]:
    """Those of the outputs `classes` and `scores` that a signature has.

    Raises:
        StatusError: the signature is not for classification.
    """
    if len(signature.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise invalid_argument(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if examples.INPUTS not in signature.inputs:
        raise invalid_argument(f"No classification inputs found in SignatureDef: {signature}")
    chosen = [output for output in _OUTPUT_TYPES if output in signature.outputs]
    if not chosen:
        raise invalid_argument(
            'Expected classification signature outputs to contain at least one of "classes" or "scores". '
            f"Signature was: {signature}"
        )
    return chosen


def fill_result(result: classification_pb2.ClassificationResult, arrays: Mapping[str, Array], batch_size: int) -> None:
    """Fills a result with a model's outputs.

    Args:
        result: the message to fill.
        arrays: output name -> array [batch_size, classes].
        batch_size: the number of examples.

    Raises:
        StatusError: an output has a wrong type or shape, or the two outputs do not fit together.
    """
    _check(arrays, batch_size)
    number_of_classes = next(iter(arrays.values())).shape[1]
    labels = arrays["classes"].tolist() if "classes" in arrays else None
    scores = arrays["scores"].tolist() if "scores" in arrays else None
    for row in range(batch_size):
        classifications = result.classifications.add()
        for column in range(number_of_classes):
            classifications.classes.add(
                label=labels[row][column] if labels else None, score=scores[row][column] if scores else None
            )


def _check(arrays: Mapping[str, Array], batch_size: int) -> None:
    for name, array in arrays.items():
        if array.ndim != 2:
            raise invalid_argument(
                f"Expected Tensor shape: [batch_size num_classes] but got [{','.join(map(str, array.shape))}]"
            )
        if type_name(array) != _OUTPUT_TYPES[name]:
            raise invalid_argument(f"Expected {name} Tensor of {_OUTPUT_TYPES[name]}. Got: {type_name(array)}")
        if len(array) != batch_size:
            raise invalid_argument(f"Expected {name} output batch size of {batch_size}. Got: {len(array)}")
    widths = [array.shape[1] for array in arrays.values()]
    if widths[0] != widths[-1]:
        raise invalid_argument(f"Tensors class and score should match in dim_size(1). Got {widths[0]} vs. {widths[-1]}")
