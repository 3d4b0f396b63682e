"""Finds the inputs that each output of a transform graph depends on, for all outputs together.

TFT walks the whole graph once for each output, every time that it loads a graph. With 1,200 columns that takes minutes,
several times in a run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
from tensorflow.python.util.object_identity import ObjectIdentitySet
from tensorflow_transform.saved import saved_transform_io_v2

from trainer.patches import replaced


@contextlib.contextmanager
def found_together() -> Iterator[None]:
    """Makes TFT use `of_outputs` inside the block; it has no option for it."""
    with replaced(saved_transform_io_v2, "_get_output_to_inputs_map", of_outputs, "tensorflow-transform"):
        yield


def layer(transform_output: tft.TFTransformOutput) -> Any:
    """A transform graph as TFT's layer, from raw to transformed columns."""
    with found_together():
        return transform_output.transform_features_layer()


def of_outputs(outputs: Mapping[str, tf.Tensor | tf.SparseTensor | tf.RaggedTensor]) -> dict[str, ObjectIdentitySet]:
    """The placeholders that each output depends on, without control dependencies.

    Args:
        outputs: the outputs of one graph, by name.
    """
    operations = {
        name: [tensor.op for tensor in tf.nest.flatten(output, expand_composites=True)]
        for name, output in outputs.items()
    }
    graph = next((operation.graph for several in operations.values() for operation in several), tf.Graph())
    placeholders = [operation for operation in graph.get_operations() if operation.type == "Placeholder"]
    behind = _behind(graph, {operation: 1 << bit for bit, operation in enumerate(placeholders)})
    sets: dict[int, ObjectIdentitySet] = {}
    found = {}
    for name, several in operations.items():
        bits = 0
        for operation in several:
            bits |= behind[operation]
        if bits not in sets:
            sets[bits] = ObjectIdentitySet(op.outputs[0] for bit, op in enumerate(placeholders) if bits >> bit & 1)
        found[name] = sets[bits]
    return found


def _behind(graph: tf.Graph, bits: Mapping[tf.Operation, int]) -> dict[tf.Operation, int]:
    """The bits of all operations that each operation depends on."""
    behind = {operation: bits.get(operation, 0) for operation in graph.get_operations()}
    changed = True
    while changed:  # except in loops, operations come after their inputs
        changed = False
        for operation, before in behind.items():
            now = before
            for tensor in operation.inputs:
                now |= behind[tensor.op]
            if now != before:
                behind[operation] = now
                changed = True
    return behind
