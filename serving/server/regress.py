"""Regress: tf.Examples in, a number for each one out.

Checks and messages follow TF Serving's servables/tensorflow/regressor.cc.
"""

from collections.abc import Mapping

from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import regression_pb2

from serving.server import examples, monitoring
from serving.server.servable import DEFAULT_SIGNATURE, Servable, resolved_spec
from serving.server.status import invalid_argument
from serving.tensor_proto import Array, type_name

_OUTPUTS = "outputs"


def regress(
    servable: Servable, request: regression_pb2.RegressionRequest, timeout_s: float | None = None
) -> regression_pb2.RegressionResponse:
    """Answers a Regress request.

    Args:
        servable: the model.
        request: the request. Its model spec has already been resolved to `servable`.
        timeout_s: the time limit of the model in seconds; None is no limit.

    Returns:
        A value for each example.

    Raises:
        StatusError: the signature is not for regression, or the model cannot compute it.
    """
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    chosen = outputs(examples.signature(servable, name))
    inputs = examples.serialized(request.input)
    with monitoring.runtime(servable.id.name, "Regress"):
        arrays = servable.run(name, {examples.INPUTS: inputs}, chosen, timeout_s)
    response = regression_pb2.RegressionResponse(model_spec=resolved_spec(servable, name))
    fill_result(response.result, dict(zip(chosen, arrays, strict=True)), len(inputs))
    return response


def outputs(signature: meta_graph_pb2.SignatureDef) -> list[str]:
    """The name of a signature's only output.

    Raises:
        StatusError: the signature is not for regression.
    """
    if len(signature.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise invalid_argument("Expected one output Tensor.")
    if examples.INPUTS not in signature.inputs:
        raise invalid_argument(f"No regression inputs found in SignatureDef: {signature}")
    if _OUTPUTS not in signature.outputs:
        raise invalid_argument(f"No regression outputs found in SignatureDef: {signature}")
    return [_OUTPUTS]


def fill_result(result: regression_pb2.RegressionResult, arrays: Mapping[str, Array], batch_size: int) -> None:
    """Fills a result with a model's output.

    Args:
        result: the message to fill.
        arrays: output name -> array [batch_size] or [batch_size, 1].
        batch_size: the number of examples.

    Raises:
        StatusError: the output does not have one number for each example.
    """
    values = arrays[_OUTPUTS]
    _check_values(values, batch_size)
    for value in values.ravel().tolist():
        result.regressions.add(value=value)


def _check_values(values: Array, batch_size: int) -> None:
    if not (values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1)):
        raise invalid_argument(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
            f"[{','.join(map(str, values.shape))}]"
        )
    if len(values) != batch_size:
        raise invalid_argument(f"Input batch size did not match output batch size: {batch_size} vs. {len(values)}")
    if type_name(values) != "DT_FLOAT":
        raise invalid_argument(f"Expected output Tensor of DT_FLOAT.  Got: {type_name(values)}")
