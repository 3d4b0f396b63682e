"""What a ranking costs by the way in which it is requested: by columns, by ids, or as the best of all items."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table
from tensorflow_serving.apis import predict_pb2

from pipeline.terminal.tables import add_row, new_table
from schema.feature_spec import FeatureSpec
from schema.signatures import EXCLUDE, ITEMS, RANK, RANK_IDS, RECOMMEND, K, own_input
from serving import load
from serving.server.saved_model import SavedModel
from serving.tensor_proto import Array, fill_content, to_array

_RECOMMENDED = 10


@dataclass(frozen=True)
class Way:
    """The cost of one way to ask.

    Attributes:
        name: the way.
        candidates: the number of candidates of a request; None for all items.
        request_bytes: the size of a request.
        in_process_ms: the median time of a call of the loaded model, by one caller.
        p50_ms: the median latency of the server, with one client.
    """

    name: str
    candidates: int | None
    request_bytes: int
    in_process_ms: float
    p50_ms: float


@dataclass(frozen=True)
class _Asked:
    signature: str
    candidates: int | None
    inputs: Sequence[Mapping[str, Array]]

    def messages(self, model: str) -> list[bytes]:
        """The requests as clients send them."""
        return [self._message(model, inputs) for inputs in self.inputs]

    def _message(self, model: str, inputs: Mapping[str, Array]) -> bytes:
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = model, self.signature
        for name, array in inputs.items():
            fill_content(request.inputs[name], array)
        return bytes(request.SerializeToString())


def measured(
    model: SavedModel,
    name: str,
    spec: FeatureSpec,
    rankings: Sequence[bytes],
    call: Callable[[bytes], bytes],
    rounds: int,
    seconds: float,
) -> list[Way]:
    """Measures all ways that a model has, in turns.

    Args:
        model: the loaded model.
        name: its name on the server.
        spec: the resolved feature spec, of a dataset with a ranking.
        rankings: serialized requests of `rank`, with a context of one row and equally many candidates.
        call: a function that sends a serialized request to the server.
        rounds: the number of turns, of which the median counts.
        seconds: the length of a turn.
    """
    ways = _ways(model, spec, rankings)
    messages = {way: asked.messages(name) for way, asked in ways.items()}
    in_process: dict[str, list[float]] = {way: [] for way in ways}
    over_grpc: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, asked in ways.items():
            in_process[way].append(median_ms(model, asked.signature, asked.inputs, seconds))
            over_grpc[way].append(load.run(call, messages[way], 1, seconds).percentile(50))
    return [
        Way(
            way,
            asked.candidates,
            len(messages[way][0]),
            statistics.median(in_process[way]),
            statistics.median(over_grpc[way]),
        )
        for way, asked in ways.items()
    ]


def median_ms(model: SavedModel, signature: str, inputs: Sequence[Mapping[str, Array]], seconds: float) -> float:
    """The median time of a call of a loaded model by one caller, in milliseconds."""
    outputs = sorted(model.signature_defs[signature].outputs)
    model.run(signature, inputs[0], outputs)
    took, end, turn = [], time.perf_counter() + seconds, 0
    while (begin := time.perf_counter()) < end:
        model.run(signature, inputs[turn % len(inputs)], outputs)
        took.append(time.perf_counter() - begin)
        turn += 1
    return statistics.median(took) * 1000


def _ways(model: SavedModel, spec: FeatureSpec, rankings: Sequence[bytes]) -> dict[str, _Asked]:
    assert spec.ranking is not None, "asked for rankings only"
    parsed = [predict_pb2.PredictRequest.FromString(message).inputs for message in rankings]
    once = [{name: to_array(proto) for name, proto in each.items()} for each in parsed]
    size = len(once[0][spec.ranking.item])
    repeated = [{name: np.resize(array, (size, *array.shape[1:])) for name, array in each.items()} for each in once]
    ways = {
        "columns, context repeated": _Asked(RANK, size, repeated),
        "columns, context once": _Asked(RANK, size, once),
    }
    contexts = [{name: each[name] for name in each if spec.side(name) == "context"} for each in once]
    if RANK_IDS in model.signature_defs:
        ids = own_input(ITEMS, spec.features)
        by_ids = [{**context, ids: each[spec.ranking.item]} for context, each in zip(contexts, once, strict=True)]
        ways["ids"] = _Asked(RANK_IDS, size, by_ids)
    if RECOMMEND in model.signature_defs:
        k, exclude = (own_input(name, spec.features) for name in (K, EXCLUDE))
        own = {k: np.array(_RECOMMENDED, np.int32), exclude: once[0][spec.ranking.item][:0]}
        ways[f"the best {_RECOMMENDED} of all"] = _Asked(RECOMMEND, None, [context | own for context in contexts])
    return ways


def ways_table(ways: Sequence[Way]) -> Iterator[Table]:
    """The ways side by side."""
    shown = new_table("One client", "way", "candidates#", "request bytes#", "in process ms#", "p50 ms#")
    for way in ways:
        count = "all" if way.candidates is None else f"{way.candidates:,}"
        add_row(shown, way.name, count, f"{way.request_bytes:,}", f"{way.in_process_ms:.3f}", f"{way.p50_ms:.2f}")
    yield shown
