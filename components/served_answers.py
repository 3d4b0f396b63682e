"""Compares served answers with those that are right: above all, answers about ids of items with those about columns."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc

from schema.answers import RANKED_BY
from schema.errors import RanklineError
from schema.feature_spec import FeatureSpec
from schema.signatures import ITEMS, KNOWN, MOST_RECOMMENDED, RANK, RANK_IDS, RECOMMEND, own_input
from serving.channel import connect
from trainer.item_table import ItemTable
from trainer.known_contexts import ContextTable
from trainer.requests import context_inputs, predict_request, recommend_inputs

TOLERANCE = 1e-5
"""The largest difference allowed between two answers; relative for values above 1."""
_MOST_ITEMS = 10_000
"""The number of items to compare; of more, these are spread evenly over the catalogue."""

Arrays = Mapping[str, npt.NDArray[Any]]


class InfraCheckError(RanklineError):
    """The candidate cannot be served, or the server answers wrongly."""


def check_items(
    address: str,
    name: str,
    model_path: str,
    example: bytes,
    spec: FeatureSpec,
    items: ItemTable | None,
    contexts: ContextTable | None = None,
) -> int:
    """Asks a server for items by their ids, by their columns, and for the best of all, and compares the answers.

    Args:
        address: the server's `host:port`.
        name: the model's name on the server.
        model_path: the SavedModel's folder.
        example: a serialized raw tf.Example, for whose context the items are ranked.
        spec: the resolved feature spec.
        items: the items of the dataset.
        contexts: the contexts of the dataset's groups; of those that the model knows, one is compared.

    Returns:
        The number of items compared; 0 if the model does not know any.

    Raises:
        InfraCheckError: an answer differs.
        grpc.RpcError: the server does not answer.
    """
    signatures = _signatures(model_path)
    if items is None or spec.ranking is None or RANK_IDS not in signatures:
        return 0
    places = np.unique(np.linspace(0, len(items) - 1, min(len(items), _MOST_ITEMS)).astype(int))
    columns = {column: values[places] for column, values in items.columns.items()}
    ids = columns[spec.ranking.item]
    context, own = context_inputs(spec, example), own_input(ITEMS, spec.features)
    with connect(address) as channel:
        predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict

        def ask(signature: str, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
            request = predict_request(signature, inputs)
            request.model_spec.name = name
            return {key: tf.make_ndarray(proto) for key, proto in predict(request).outputs.items()}

        by_column = ask(RANK, context | {key: values for key, values in columns.items() if key in spec.features})
        by_id = ask(RANK_IDS, context | {own: ids})
        if contexts and signatures[RANK_IDS].defaults:
            last = {column: values[-1:] for column, values in contexts.items()}
            whole = ask(RANK_IDS, last | {own: ids})
            short = ask(RANK_IDS, {spec.ranking.group: last[spec.ranking.group], own: ids})
            for output in by_id.keys() - {KNOWN}:
                _compare(f"{RANK_IDS} by {spec.ranking.group} alone: {output}", ids, short[output], whole[output])
        if not by_id.pop(KNOWN).all():
            raise InfraCheckError(f"infra check: expected {RANK_IDS} to know all items, received some as unknown")
        for output, values in by_id.items():
            _compare(f"{RANK_IDS}: {output}", ids, values, by_column[output])
        if RECOMMEND in signatures:
            k = min(len(items), MOST_RECOMMENDED)
            best = ask(RECOMMEND, recommend_inputs(spec, context, k))
            _check_best(ids, by_column[RANKED_BY[spec.label.kind]], best[ITEMS], best[RANKED_BY[spec.label.kind]])
    return len(ids)


def _check_best(
    ids: npt.NDArray[Any], scores: npt.NDArray[Any], best: npt.NDArray[Any], best_scores: npt.NDArray[Any]
) -> None:
    """Checks that the best items have the scores that `rank` gives them, in order, and that no other is higher."""
    wanted = dict(zip(_bytes(ids), scores.tolist(), strict=True))
    found = dict(zip(_bytes(best), best_scores.tolist(), strict=True))
    both = [item for item in found if item in wanted]
    expected, received = (np.array([scored[item] for item in both]) for scored in (wanted, found))
    if both:  # of very many items, none of the best may be among those compared
        _compare(RECOMMEND, np.array(both, object), received, expected)
    falls = np.all(np.diff(best_scores) <= TOLERANCE)
    left_out = max((score for item, score in wanted.items() if item not in found), default=-np.inf)
    if not falls or left_out > best_scores.min() + TOLERANCE * max(1, abs(left_out)):
        raise InfraCheckError(f"infra check: expected {RECOMMEND} to give the best items in order, received others")


def _compare(what: str, ids: npt.NDArray[Any], received: npt.NDArray[Any], expected: npt.NDArray[Any]) -> None:
    def told(row: int) -> str:
        return (
            f"infra check: expected the answers of {RANK} to {TOLERANCE:g}, received {what} {shown(received[row])} "
            f"instead of {shown(expected[row])} for item {ids[row]!r}"
        )

    largest_difference(received, expected, told)


def largest_difference(received: npt.NDArray[Any], expected: npt.NDArray[Any], told: Callable[[int], str]) -> float:
    """The largest difference between two arrays of answers, [rows] or [rows, any]; relative for values above 1.

    Raises:
        InfraCheckError: the difference is more than `TOLERANCE`. The message is `told` for the worst row.
    """
    difference = np.abs(received - expected) / np.maximum(1, np.abs(expected))
    difference = difference.reshape(len(expected), -1).max(axis=1, initial=0.0)
    if not np.all(difference <= TOLERANCE):  # true for NaN, too
        raise InfraCheckError(told(int(np.argmax(difference))))
    return float(difference.max(initial=0.0))


def shown(value: npt.NDArray[Any]) -> str:
    """An answer as people read it."""
    return np.array2string(value, precision=6, threshold=8)


def _bytes(ids: npt.NDArray[Any]) -> list[Any]:
    """Ids as servers return them."""
    return [item.encode() if isinstance(item, str) else item for item in ids.tolist()]


def _signatures(model_path: str) -> Mapping[str, Any]:
    """The SignatureDefs by name."""
    with tf.io.gfile.GFile(os.path.join(model_path, tf.saved_model.SAVED_MODEL_FILENAME_PB), "rb") as file:
        found: Mapping[str, Any] = saved_model_pb2.SavedModel.FromString(file.read()).meta_graphs[0].signature_def
    return found
