"""Requests to an exported model, made of raw examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow_serving.apis import predict_pb2

from schema.feature_spec import FeatureSpec
from trainer.raw_columns import raw_columns

Array = NDArray[Any]


def predict_request(signature: str, inputs: Mapping[str, tf.Tensor | Array]) -> predict_pb2.PredictRequest:
    """A request to a model that has no name yet."""
    request = predict_pb2.PredictRequest()
    request.model_spec.signature_name = signature
    for name, values in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
    return request


def rank_inputs(spec: FeatureSpec, serialized: Sequence[bytes]) -> dict[str, Array]:
    """The examples' items as candidates, all for the group of the first, which has as many rows: so that servers that
    batch, which insist on it, can answer as well."""
    columns = raw_columns(spec)
    parsed = tf.io.parse_example(serialized, {name: column.feature for name, column in columns.items()})
    candidate = {spec.ranking.item, *spec.ranking.item_columns} if spec.ranking else set(columns)
    inputs = {}
    for name, values in parsed.items():
        dense = (tf.sparse.to_dense(values, columns[name].missing) if columns[name].multivalent else values).numpy()
        inputs[name] = dense if name in candidate else np.repeat(dense[:1], len(serialized), axis=0)
    return inputs
