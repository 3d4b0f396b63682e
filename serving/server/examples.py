"""The input of Classify and Regress: tf.Examples, with or without a shared context.

After TF Serving's servables/tensorflow/util.cc.
"""

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import input_pb2

from serving.server.servable import Servable
from serving.server.status import invalid_argument
from serving.tensor_proto import Array

INPUTS = "inputs"
"""The name of this input in the signatures of both methods."""


def serialized(source: input_pb2.Input) -> Array:
    """Serializes the examples, as a model takes them.

    A shared context is merged into each example by concatenating the two serialized messages: parsing the result merges
    them, and the example's features override the context's.

    Args:
        source: an input with `example_list` or `example_list_with_context`.

    Returns:
        N serialized tf.Examples, `bytes` [N].

    Raises:
        StatusError: there is no example.
    """
    if not count(source):
        raise invalid_argument("Input is empty.")
    context = b""
    examples = source.example_list.examples
    if source.WhichOneof("kind") == "example_list_with_context":
        context = source.example_list_with_context.context.SerializeToString()
        examples = source.example_list_with_context.examples
    return np.array([context + example.SerializeToString() for example in examples], dtype=object)


def signature(servable: Servable, name: str) -> meta_graph_pb2.SignatureDef:
    """The signature with a name.

    Raises:
        StatusError: the model has no such signature.
    """
    definition = servable.signature_defs.get(name)
    if definition is None:
        raise invalid_argument(f"No signature was found with the name: {name}")
    return definition


def count(source: input_pb2.Input) -> int:
    """The number of examples."""
    return len(source.example_list.examples) + len(source.example_list_with_context.examples)
