"""Batching: TensorFlow's own batch scheduler computes simultaneous requests together.

Parameters, checks and messages follow TF Serving's batching/{batching_session,batching_util}.cc and
servables/tensorflow/bundle_factory_util.cc. There the scheduler wraps the session. Here it is a node of the session's
graph, a BatchFunction, whose function is the part of the graph that computes a signature's outputs.
"""

import itertools
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from grpc import StatusCode
from tensorflow.core.framework import attr_value_pb2
from tensorflow.python.client import pywrap_tf_session
from tensorflow.python.framework import dtypes, errors, ops
from tensorflow.python.framework.tensor import Tensor
from tensorflow.python.ops import array_ops, gen_batch_ops, gen_functional_ops
from tensorflow.python.ops.ragged import ragged_tensor

from serving.server.status import StatusError, invalid_argument
from serving.tensor_proto import Array

# The scheduler's defaults.
_MAX_BATCH_SIZE = 1000
_MAX_ENQUEUED_BATCHES = 10

_ADDED = re.compile(r"\. 0th dimension size: .*|\s*\[\[\{\{node BatchFunction.*", re.DOTALL)
"""The parts of the node's messages that TF Serving's do not have."""

_numbers = itertools.count(1)


class Batching:
    """Turns parts of a session's graph into batched ones."""

    def __init__(self, parameters: Any) -> None:
        """Creates a batching with given parameters.

        Args:
            parameters: a `config_files.BatchingParameters`.

        Raises:
            StatusError: the parameters contradict each other.
        """
        self._padding = parameters.pad_variable_length_inputs
        self._threads = _value(parameters, "num_batch_threads", os.cpu_count() or 1)
        self._max_batch_size = _value(parameters, "max_batch_size", _MAX_BATCH_SIZE)
        self._timeout_micros = _value(parameters, "batch_timeout_micros", 0)
        self._splitting = parameters.enable_large_batch_splitting.value
        batches = _value(parameters, "max_enqueued_batches", _MAX_ENQUEUED_BATCHES)
        self._max_enqueued_batches = batches or (0 if self._splitting else 1)
        self._largest = _value(parameters, "max_execution_batch_size", self._max_batch_size)
        self._allowed = list(parameters.allowed_batch_sizes)
        self._check()

    def _check(self) -> None:
        if self._allowed and self._allowed[-1] != self._max_batch_size:
            raise invalid_argument(
                "Last entry in allowed_batch_sizes must match max_batch_size; last entry was "
                f"{self._allowed[-1]}; expected {self._max_batch_size}"
            )
        for name, number, least, kind in (
            ("num_batch_threads", self._threads, 1, "positive"),
            ("input_batch_size_limit", self._max_batch_size, 1, "positive"),
            ("batch_timeout_micros", self._timeout_micros, 0, "non-negative"),
            ("max_enqueued_batches", self._max_enqueued_batches, 1, "positive"),
        ):
            if number < least:
                raise invalid_argument(f"{name} must be {kind}; was {number}")
        if self._splitting and self._largest > self._max_batch_size:
            raise invalid_argument(
                "When enable_large_batch_splitting is true, input_batch_size_limit must be greater than or equal to "
                f"max_execution_batch_size. Were {self._max_batch_size} and {self._largest}"
            )

    def batched(self, graph: ops.Graph, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> list[Tensor]:
        """Adds nodes to a graph that compute the same outputs for several runs at once.

        Args:
            graph: the graph of a session.
            inputs: the tensors that are fed, with a row for each example.
            outputs: the tensors that are computed from them, with a row for each example.

        Returns:
            The tensors to fetch in place of `outputs`.

        Raises:
            ValueError: this part of the graph cannot become a function.
        """
        with graph.as_default():
            function = _Function(graph, inputs, outputs)
            sent = list(inputs)
            if self._padding:
                sent, function = _padded(graph, inputs, function)
            allowed = self._allowed
            if self._splitting and self._largest < self._max_batch_size:
                # The node has no other parameter for the largest batch to run.
                allowed = [size for size in allowed if size < self._largest] + [self._largest]
            return list(
                gen_batch_ops.batch_function(
                    sent,
                    function.captured,
                    f=function.attribute,
                    Tout=function.output_types,
                    num_batch_threads=self._threads,
                    max_batch_size=self._max_batch_size,
                    batch_timeout_micros=self._timeout_micros,
                    max_enqueued_batches=self._max_enqueued_batches,
                    allowed_batch_sizes=allowed,
                    enable_large_batch_splitting=self._splitting,
                    shared_name=function.attribute.name,
                )
            )


def check_inputs(inputs: Mapping[str, Array]) -> None:
    """Raises a StatusError unless all inputs have a row for each example."""
    if not inputs:
        raise invalid_argument("Batching Run() must have at least one input tensor")
    if any(array.ndim == 0 for array in inputs.values()):
        raise invalid_argument("Batching Run() input tensors must have at least one dimension")
    if len({len(array) for array in inputs.values()}) > 1:
        raise invalid_argument("Batching Run() input tensors must have equal 0th-dimension size")


def status_of(error: errors.OpError, inputs: Mapping[str, Tensor]) -> StatusError:
    """Converts an error in a batched run to the status that the client receives.

    Args:
        error: the error of TensorFlow.
        inputs: input name of the signature -> the tensor that is fed.
    """
    message = _ADDED.sub("", error.message)
    if message.startswith("Dimensions of inputs should match"):
        name = next(
            (tensor.name for tensor in inputs.values() if not tensor.shape[1:].is_fully_defined()),
            next(iter(inputs.values())).name,
        )
        return StatusError(
            StatusCode.FAILED_PRECONDITION,
            f"Tensors with name '{name}' from different tasks have different shapes and padding is turned off. Set "
            "pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal dimensions "
            "starting with the first dim.",
        )
    return StatusError.from_number(error.error_code, message)


class _Function:
    """A function made of a part of a graph, in the same graph.

    Attributes:
        attribute: the attribute with the function's name, for nodes that call it.
        captured: further arguments after the inputs: the handles of variables and tables.
        output_types: the types of its outputs.
    """

    def __init__(self, graph: ops.Graph, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        self.attribute = attr_value_pb2.NameAttrList(name=f"batched_{next(_numbers)}")
        self.captured: list[Tensor] = []
        self.output_types = [output.dtype for output in outputs]
        operations = self._operations_between(inputs, outputs)
        with graph._c_graph.get() as c_graph:
            function = pywrap_tf_session.TF_GraphToFunction_wrapper(
                c_graph,
                self.attribute.name,
                False,
                [operation._c_op for operation in operations],
                [tensor._as_tf_output() for tensor in [*inputs, *self.captured]],
                [tensor._as_tf_output() for tensor in outputs],
                [],
                [],
                [],
                None,
                "",
            )
            pywrap_tf_session.TF_GraphCopyFunction(c_graph, function, None)
            pywrap_tf_session.TF_DeleteFunction(function)

    def _operations_between(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> list[ops.Operation]:
        seen = {tensor.op for tensor in inputs}
        found, left = [], [tensor.op for tensor in outputs]
        while left:
            operation = left.pop()
            if operation in seen:
                continue
            seen.add(operation)
            if not operation.inputs and any(output.dtype == dtypes.resource for output in operation.outputs):
                self.captured += operation.outputs
                continue
            found.append(operation)
            left += [tensor.op for tensor in operation.inputs] + list(operation.control_inputs)
        return found


def _padded(graph: ops.Graph, inputs: Sequence[Tensor], function: _Function) -> tuple[list[Tensor], _Function]:
    """The tensors to send in place of the inputs, and a function of them, so that rows of any length fit into a batch.

    The scheduler only joins rows of equal length. An input whose rows may differ in length is sent as one variant per
    row. As in TF Serving, shorter rows are padded with the first value of their request.
    """
    sent: list[Tensor] = []
    received: list[Tensor] = []  # the function's own inputs
    arguments: list[Tensor] = []

    def send(tensor: Tensor) -> Tensor:
        sent.append(tensor)
        received.append(array_ops.placeholder(tensor.dtype, tensor.shape))
        return received[-1]

    for tensor in inputs:
        rank = tensor.shape.rank
        if rank is None or tensor.shape[1:].is_fully_defined():
            arguments.append(send(tensor))
            continue
        rows = ragged_tensor.RaggedTensor.from_tensor(tensor, ragged_rank=rank - 1)
        filling = array_ops.repeat(array_ops.reshape(tensor, [-1])[:1], array_ops.shape(tensor)[:1])
        variants, filling = send(rows._to_variant(batched_input=True)), send(filling)
        rows = ragged_tensor.RaggedTensor._from_variant(
            variants, tensor.dtype, output_ragged_rank=rank - 1, input_ragged_rank=rank - 2
        )
        there = rows.with_flat_values(array_ops.ones_like(rows.flat_values, dtypes.bool)).to_tensor()
        filling = array_ops.reshape(filling, [-1, *[1] * (rank - 1)])
        arguments.append(array_ops.where_v2(there, rows.to_tensor(), filling))

    outputs = gen_functional_ops.stateful_partitioned_call(
        args=arguments + function.captured, Tout=function.output_types, f=function.attribute
    )
    return sent, _Function(graph, received, outputs)


def _value(parameters: Any, name: str, default: int) -> int:
    return int(getattr(parameters, name).value) if parameters.HasField(name) else default
