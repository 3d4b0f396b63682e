"""Requests to an exported model, from raw examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow_serving.apis import predict_pb2

from schema.feature_spec import FeatureSpec
from schema.signatures import EXCLUDE, ITEMS, K, own_input
from trainer.raw_columns import raw_column, raw_columns

Array = NDArray[Any]


def predict_request(signature: str, inputs: Mapping[str, tf.Tensor | Array]) -> predict_pb2.PredictRequest:
    """A request to a signature, without the model's name."""
    request = predict_pb2.PredictRequest()
    request.model_spec.signature_name = signature
    for name, values in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
    return request


def rank_inputs(spec: FeatureSpec, serialized: Sequence[bytes]) -> dict[str, Array]:
    """The inputs of a request that ranks the examples' items for the group of the first example.

    The context's row is repeated for each candidate, since servers that batch require equal numbers of rows.
    """
    columns = raw_columns(spec)
    parsed = tf.io.parse_example(serialized, {name: column.feature for name, column in columns.items()})
    candidate = {spec.ranking.item, *spec.ranking.item_columns} if spec.ranking else set(columns)
    inputs = {}
    for name, values in parsed.items():
        dense = (tf.sparse.to_dense(values, columns[name].missing) if columns[name].multivalent else values).numpy()
        inputs[name] = dense if name in candidate else np.repeat(dense[:1], len(serialized), axis=0)
    return inputs


def rank_ids_inputs(spec: FeatureSpec, serialized: Sequence[bytes]) -> dict[str, Array]:
    """The same candidates by their ids."""
    assert spec.ranking is not None, "only rankings have items"
    item = spec.ranking.item
    ids = tf.io.parse_example(serialized, {item: raw_column(spec.columns[item]).feature})[item]
    inputs = rank_inputs(spec, serialized)
    return {name: inputs[name] for name in inputs if spec.side(name) == "context"} | {
        own_input(ITEMS, spec.features): ids.numpy()
    }


def recommend_inputs(spec: FeatureSpec, example: bytes, k: int, exclude: Array | None = None) -> dict[str, Array]:
    """The best `k` items for the group of an example, but for the ids in `exclude`."""
    inputs = rank_ids_inputs(spec, [example])
    ids = inputs.pop(own_input(ITEMS, spec.features))
    inputs[own_input(K, spec.features)] = np.array(k, np.int32)
    inputs[own_input(EXCLUDE, spec.features)] = ids[:0] if exclude is None else exclude
    return inputs
