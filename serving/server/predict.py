"""Predict: named tensors in, named tensors out, by any signature.

Checks and messages follow TF Serving's servables/tensorflow/predict_util.cc and TensorFlow's
cc/saved_model/util.cc.
"""

from collections.abc import Collection, Mapping

from grpc import StatusCode
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import predict_pb2

from serving.server import monitoring
from serving.server.servable import DEFAULT_SIGNATURE, Servable, resolved_spec
from serving.server.status import StatusError, invalid_argument
from serving.tensor_proto import Array, TensorError, fill_values, to_array


def predict(
    servable: Servable, request: predict_pb2.PredictRequest, timeout_s: float | None = None
) -> predict_pb2.PredictResponse:
    """Answers a Predict request.

    Args:
        servable: the model.
        request: the request. Its model spec has already been resolved to `servable`.
        timeout_s: the time limit of the model in seconds; None is no limit.

    Returns:
        The signature's outputs, or those in `output_filter`.

    Raises:
        StatusError: the signature is unknown, the inputs are wrong, or the model cannot compute the outputs.
    """
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    signature = servable.signature_defs.get(name)
    if signature is None:
        raise StatusError(StatusCode.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
    inputs = _inputs(signature, request.inputs)
    outputs = _outputs(signature, request.output_filter)
    with monitoring.runtime(servable.id.name, "Predict"):
        arrays = servable.run(name, inputs, outputs, timeout_s)

    response = predict_pb2.PredictResponse(model_spec=resolved_spec(servable, name))
    for output, array in zip(outputs, arrays, strict=True):
        fill_values(response.outputs[output], array)
    return response


def _inputs(signature: meta_graph_pb2.SignatureDef, sent: Mapping[str, tensor_pb2.TensorProto]) -> dict[str, Array]:
    """The signature's inputs, from the request or from the signature's defaults."""
    if len(sent) > len(signature.inputs) or (len(sent) < len(signature.inputs) and not signature.defaults):
        raise invalid_argument(_wrong_number(sent.keys(), signature.inputs.keys()))
    inputs = {}
    for name, info in signature.inputs.items():
        if name in sent:
            proto = sent[name]
        elif name in signature.defaults:
            proto = signature.defaults[name]
        else:
            raise invalid_argument(
                f"Signature input alias: {name}(feed name: {info.name}) not found in request and no default "
                f"value provided. Inputs expected to be in the request {{{_listed(sent)}}}, or default input "
                f"alias set: {_listed(signature.defaults)}"
            )
        try:
            inputs[name] = to_array(proto)
        except TensorError as error:
            raise invalid_argument(f"tensor parsing error: {name}") from error
    if not sent.keys() <= signature.inputs.keys():
        raise invalid_argument(
            f"Inputs contains invalid name. Used request inputs: {_listed(sent.keys() & inputs.keys())}, "
            f"request input: {_listed(sent)}"
        )
    return inputs


def _wrong_number(sent: Collection[str], expected: Collection[str]) -> str:
    return (
        f"input size does not match signature: {len(sent)}!={len(expected)} len({{{_listed(sent)}}}) != "
        f"len({{{_listed(expected)}}}). Sent extra: {{{_listed(set(sent) - set(expected))}}}. "
        f"Missing but required: {{{_listed(set(expected) - set(sent))}}}."
    )


def _outputs(signature: meta_graph_pb2.SignatureDef, chosen: Collection[str]) -> list[str]:
    """The names of the requested outputs; all outputs if the request names none."""
    outputs: list[str] = []
    for name in chosen:
        if name not in signature.outputs:
            raise invalid_argument(
                f"output tensor alias not found in signature: {name} Outputs expected to be in the set "
                f"{{{_listed(signature.outputs)}}}."
            )
        if name in outputs:
            raise invalid_argument(f"duplicate output tensor alias: {name}")
        outputs.append(name)
    return outputs or sorted(signature.outputs)


def _listed(names: Collection[str]) -> str:
    return ",".join(sorted(names))
