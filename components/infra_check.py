"""Serves the candidate before it is pushed, and compares the server's answers with the model's own.

TFX's InfraValidator needs docker or Kubernetes, and checks only that requests are answered. This component starts
a server (see `components.model_servers`), which replays the model's warm-up requests before it reports the version as
available, and sends rows of the test split as a client would.
"""

import contextlib
import itertools
import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import io_utils, path_utils

from components.evaluation.thresholds import Limits
from components.evaluation.verdict import Condition, Gate, Latency
from components.model_servers import EMBEDDED, MODEL_NAME, ModelServerError, serving
from components.properties import CHECKED_PROPERTY, MODEL_PROPERTY, REFUSALS_PROPERTY
from components.served_answers import TOLERANCE, InfraCheckError, check_items, largest_difference, shown
from schema.feature_spec import FeatureSpec
from schema.latest import CONTEXTS_FILE, ITEMS_FILE
from serving import load
from serving.channel import connect
from serving.client import Client
from trainer import item_table, known_contexts
from trainer.item_table import ItemTable
from trainer.known_contexts import ContextTable
from trainer.requests import predict_request, rank_inputs

REPORT_FILE = "infra_check.json"

_PERCENTILES = (50, 90, 99)
"""The latency percentiles that are always reported."""
_SECONDS, _WARM_UP_SECONDS = 2.0, 0.3
"""The durations of the latency measurement, and of the uncounted requests before it."""
_REQUESTS = 20
"""The number of different requests that the measurement cycles through."""
_MB = 1e6
_BATCH = 100
_BLESSED, _NOT_BLESSED = "INFRA_BLESSED", "INFRA_NOT_BLESSED"


_log = logging.getLogger(__name__)


@component  # type: ignore[untyped-decorator]
def InfraCheck(  # noqa: N802 (a TFX component)
    model: InputArtifact[standard_artifacts.Model],
    model_blessing: InputArtifact[standard_artifacts.ModelBlessing],
    examples: InputArtifact[standard_artifacts.Examples],
    blessing: OutputArtifact[standard_artifacts.InfraBlessing],
    spec: Parameter[str],
    limits: Parameter[str],
    rows: Parameter[int],
    server: Parameter[str],
    code: Parameter[str],
) -> None:
    """Blesses a model that can be served within its limits.

    Args:
        model: the candidate.
        model_blessing: the Evaluator's blessing. A refused model is checked only if there are limits, so that a run
            tells all reasons to refuse it.
        examples: the raw examples, which have a test split.
        blessing: the output, which receives the report, and TFX's properties for the Pusher.
        spec: the resolved feature spec, as JSON.
        limits: a `components.evaluation.thresholds.Limits`, as JSON.
        rows: the number of rows of the test split to compare.
        server: the server to start, as `components.model_servers.chosen` returns it.
        code: the version of this component's code; a change leads to a new check.

    Raises:
        InfraCheckError: the server cannot load the model or replay its warm-up, or its answers differ from the model's.
    """
    del code  # part of the cache key only
    report: dict[str, object] = {"checked": False}
    gate = Gate(conditions=[])
    asked = Limits.model_validate_json(limits)
    blessed = model_blessing.get_int_custom_property("blessed") == 1
    if blessed or asked.are_set:
        serialized = _first_rows(artifact_utils.get_split_uri([examples], "test"), rows)
        feature_spec = FeatureSpec.model_validate_json(spec)
        items = item_table.read(os.path.join(examples.uri, ITEMS_FILE), feature_spec)
        contexts = known_contexts.read(os.path.join(examples.uri, CONTEXTS_FILE), feature_spec)
        with _on_this_machine(path_utils.serving_model_path(model.uri)) as model_path:
            report, gate = check(model_path, serialized, feature_spec, asked, server, items, contexts)
    for reason in gate.refusals:
        _log.warning("%s", reason)
    blessed = blessed and not gate.refusals
    report["gate"] = gate.model_dump()
    tf.io.gfile.makedirs(blessing.uri)
    with tf.io.gfile.GFile(os.path.join(blessing.uri, REPORT_FILE), "w") as file:
        file.write(json.dumps(report, indent=2) + "\n")
    blessing.set_int_custom_property(CHECKED_PROPERTY, int(bool(report["checked"])))
    blessing.set_int_custom_property(MODEL_PROPERTY, model.id)
    blessing.set_string_custom_property(REFUSALS_PROPERTY, json.dumps(gate.refusals))
    # TFX's Pusher reads these.
    blessing.set_string_custom_property("blessing_status", _BLESSED if blessed else _NOT_BLESSED)
    blessing.set_int_custom_property("blessed", int(blessed))


def check(
    model_path: str,
    examples: Sequence[bytes],
    spec: FeatureSpec,
    limits: Limits,
    server: str = EMBEDDED,
    items: ItemTable | None = None,
    contexts: ContextTable | None = None,
) -> tuple[dict[str, object], Gate]:
    """Serves a SavedModel, compares the served answers with the model's own, and measures latency.

    Args:
        model_path: the SavedModel's folder.
        examples: serialized raw tf.Examples.
        spec: the resolved feature spec.
        limits: the limits on latency and size.
        server: the server to start, see `InfraCheck`.
        items: the items that the model may know.
        contexts: the contexts that the model may know.

    Returns:
        A report (the server, rows compared, the largest difference, seconds until the model was available, latency in
        milliseconds, size in megabytes), and the conditions of the limits.

    Raises:
        InfraCheckError: see `InfraCheck`.
    """
    start = time.monotonic()
    try:
        with serving(server, model_path) as address, Client(address, MODEL_NAME) as client:
            load_seconds = time.monotonic() - start
            batches = [examples[i : i + _BATCH] for i in range(0, len(examples), _BATCH)]
            answers = [client.predict(batch) for batch in batches]
            known = check_items(address, MODEL_NAME, model_path, examples[0], spec, items, contexts)
            latency, at_limit = _latency(address, examples, spec, limits)
    except ModelServerError as error:
        raise InfraCheckError(f"infra check: expected a model that can be served, received: {error}") from error
    expected = _in_process(model_path, examples)
    served = {name: np.concatenate([answer[name] for answer in answers]) for name in expected}
    differences = {name: _difference(name, served[name], expected[name]) for name in expected}
    megabytes = _bytes(model_path) / _MB
    report = {
        "checked": True,
        "server": server,
        "rows": len(examples),
        "items": known,
        "largest_difference": max(differences.values()),
        "load_seconds": round(load_seconds, 3),
        "latency": latency.model_dump(),
        "megabytes": round(megabytes, 3),
    }
    return report, Gate(conditions=list(_conditions(limits, at_limit, megabytes)))


def _latency(address: str, examples: Sequence[bytes], spec: FeatureSpec, limits: Limits) -> tuple[Latency, float]:
    """The latency that one client sees, and that at the percentile of the limits, in milliseconds."""
    requests = [_request(examples, place, spec, limits.candidates) for place in range(min(_REQUESTS, len(examples)))]
    with connect(address, None) as channel:
        found = load.run(channel.unary_unary(load.PREDICT), requests, 1, _SECONDS, warm_up_s=_WARM_UP_SECONDS)
    if found.failed or not found.answered:
        raise ModelServerError(
            f"requests with {limits.candidates:,} rows: {found.answered:,} were answered and "
            f"{found.failed:,} failed {', '.join(found.errors)}".rstrip()
        )
    percentiles = {f"p{percent:g}": round(found.percentile(percent), 3) for percent in sorted(
        {*_PERCENTILES, limits.percentile}
    )}  # fmt: skip
    latency = Latency(
        signature=_signature(spec), candidates=limits.candidates, requests=found.answered, percentiles=percentiles
    )
    return latency, found.percentile(limits.percentile)


def _signature(spec: FeatureSpec) -> str:
    """The signature that clients call."""
    return "rank" if spec.ranking else "serving_default"


def _request(examples: Sequence[bytes], place: int, spec: FeatureSpec, rows: int) -> bytes:
    """A serialized request for `rows` rows from `place` on, cycling through the examples."""
    serialized = list(itertools.islice(itertools.cycle(examples), place, place + rows))
    inputs = rank_inputs(spec, serialized) if spec.ranking else {"examples": tf.constant(serialized)}
    request = predict_request(_signature(spec), inputs)
    request.model_spec.name = MODEL_NAME
    return bytes(request.SerializeToString())


def _bytes(folder: str) -> int:
    return sum(os.path.getsize(os.path.join(path, name)) for path, _, names in os.walk(folder) for name in names)


def _conditions(limits: Limits, milliseconds: float, megabytes: float) -> Iterator[Condition]:
    time_unit = f"ms for {limits.candidates:,} candidates"
    for what, limit, received, unit, where in (
        (
            f"latency at p{limits.percentile:g}",
            limits.latency_ms,
            milliseconds,
            time_unit,
            " on this machine",
        ),
        ("size", limits.size_mb, megabytes, "MB", ""),
    ):
        if limit is not None:
            expected, kept = f"at most {limit:g} {unit}", received <= limit
            reason = f"{what}: expected {expected}, received {received:.3f}{where}"
            yield Condition(what=what, expected=expected, received=received, room=limit - received,
                            outcome="kept" if kept else "broken", reason="" if kept else reason)  # fmt: skip


@contextlib.contextmanager
def _on_this_machine(folder: str) -> Iterator[str]:
    """Yields the folder, or a local copy of one in a store such as gs://, which servers may not be able to read."""
    if "://" not in folder:
        yield folder
        return
    with tempfile.TemporaryDirectory() as copy:
        io_utils.copy_dir(folder, copy)
        yield copy


def _first_rows(split_uri: str, rows: int) -> list[bytes]:
    dataset = tf.data.TFRecordDataset(tf.io.gfile.glob(os.path.join(split_uri, "*")), compression_type="GZIP")
    return list(itertools.islice(dataset.as_numpy_iterator(), rows))


def _in_process(model_path: str, examples: Sequence[bytes]) -> dict[str, np.ndarray]:
    signature = tf.saved_model.load(model_path).signatures["serving_default"]
    answers = signature(examples=tf.constant(list(examples)))
    return {name: values.numpy() for name, values in answers.items()}


def _difference(name: str, served: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference between rows; relative for values above 1.

    Raises:
        InfraCheckError: the difference is more than `TOLERANCE`.
    """

    def told(row: int) -> str:
        return (
            f"infra check: expected served answers equal to the model's own to {TOLERANCE:g}, received {name} "
            f"{shown(served[row])} instead of {shown(expected[row])} for row {row + 1} of the test split"
        )

    return largest_difference(served, expected, told)
