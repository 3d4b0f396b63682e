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


def context_inputs(spec: FeatureSpec, example: bytes) -> dict[str, Array]:
    """The inputs that describe the context of an example, of one row each."""
    inputs = rank_inputs(spec, [example])
    return {name: inputs[name] for name in inputs if spec.side(name) == "context"}


def rank_ids_inputs(spec: FeatureSpec, serialized: Sequence[bytes]) -> dict[str, Array]:
    """The inputs of a request that ranks the examples' items by their ids, for the group of the first example.

    The context's row is repeated, as for `rank_inputs`.
    """
    assert spec.ranking is not None, "only rankings have items"
    item = spec.ranking.item
    ids = tf.io.parse_example(serialized, {item: raw_column(spec.columns[item]).feature})[item].numpy()
    context = context_inputs(spec, serialized[0])
    repeated = {name: np.repeat(values, len(ids), axis=0) for name, values in context.items()}
    return repeated | {own_input(ITEMS, spec.features): ids}


def recommend_inputs(spec: FeatureSpec, context: Mapping[str, Array], k: int) -> dict[str, Array]:
    """The inputs of a request for the best `k` items."""
    assert spec.ranking is not None, "only rankings have items"
    nothing = np.array([], raw_column(spec.columns[spec.ranking.item]).dtype.as_numpy_dtype)
    return {**context, own_input(K, spec.features): np.array(k, np.int32), own_input(EXCLUDE, spec.features): nothing}
