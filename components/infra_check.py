"""Serves the candidate before it is pushed, and compares what is served with what the model itself says.

TFX's InfraValidator needs docker or Kubernetes, and asks only whether requests are answered. This component starts
a server (see `components.model_servers`), which replays the model's warm-up requests before it calls the version
available, and sends rows of the test split as a client would.
"""

import contextlib
import itertools
import json
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

from components.model_servers import EMBEDDED, MODEL_NAME, ModelServerError, serving
from schema.errors import RanklineError
from serving.client import Client

TOLERANCE = 1e-5
"""By so much a served answer may differ from the in-process one, as a share of it where it is above 1."""

REPORT_FILE = "infra_check.json"
_BATCH = 100
_BLESSED, _NOT_BLESSED = "INFRA_BLESSED", "INFRA_NOT_BLESSED"


class InfraCheckError(RanklineError):
    """The candidate cannot be served, or is served wrongly."""


@component  # type: ignore[untyped-decorator]
def InfraCheck(  # noqa: N802 (a TFX component)
    model: InputArtifact[standard_artifacts.Model],
    model_blessing: InputArtifact[standard_artifacts.ModelBlessing],
    examples: InputArtifact[standard_artifacts.Examples],
    blessing: OutputArtifact[standard_artifacts.InfraBlessing],
    rows: Parameter[int],
    server: Parameter[str],
    code: Parameter[str],
) -> None:
    """Blesses a model that can be served.

    Args:
        model: the candidate.
        model_blessing: the Evaluator's; a refused model will not be pushed, so it is not checked either.
        examples: raw examples with a test split.
        blessing: receives the report, and TFX's mark for the Pusher.
        rows: how many rows of the test split to compare.
        server: which server to start, as `components.model_servers.chosen` gives it.
        code: version of the code that does it, so that its change leads to a new check.

    Raises:
        InfraCheckError: the server cannot load the model or replay its warm-up, or answers something else than the
            model does.
    """
    del code  # part of the cache key only
    report: dict[str, object] = {"checked": False}
    blessed = model_blessing.get_int_custom_property("blessed") == 1
    if blessed:
        serialized = _first_rows(artifact_utils.get_split_uri([examples], "test"), rows)
        with _on_this_machine(path_utils.serving_model_path(model.uri)) as model_path:
            report = check(model_path, serialized, server)
    tf.io.gfile.makedirs(blessing.uri)
    with tf.io.gfile.GFile(os.path.join(blessing.uri, REPORT_FILE), "w") as file:
        file.write(json.dumps(report, indent=2) + "\n")
    # What TFX's Pusher looks for.
    blessing.set_string_custom_property("blessing_status", _BLESSED if blessed else _NOT_BLESSED)
    blessing.set_int_custom_property("blessed", int(blessed))


def check(model_path: str, examples: Sequence[bytes], server: str = EMBEDDED) -> dict[str, object]:
    """Serves a SavedModel and compares its answers with the model's own.

    Args:
        model_path: the SavedModel's folder.
        examples: serialized raw tf.Examples.
        server: see `InfraCheck`.

    Returns:
        A report: the server, rows compared, the largest difference, seconds until available, milliseconds per request.

    Raises:
        InfraCheckError: see `InfraCheck`.
    """
    start = time.monotonic()
    try:
        with serving(server, model_path) as address, Client(address, MODEL_NAME) as client:
            load_seconds = time.monotonic() - start
            batches = [examples[i : i + _BATCH] for i in range(0, len(examples), _BATCH)]
            start = time.monotonic()
            answers = [client.predict(batch) for batch in batches]
            seconds = time.monotonic() - start
    except ModelServerError as error:
        raise InfraCheckError(f"infra check: expected a model that can be served, received: {error}") from error
    expected = _in_process(model_path, examples)
    served = {name: np.concatenate([answer[name] for answer in answers]) for name in expected}
    differences = {name: _difference(name, served[name], expected[name]) for name in expected}
    return {
        "checked": True,
        "server": server,
        "rows": len(examples),
        "largest_difference": max(differences.values()),
        "load_seconds": round(load_seconds, 3),
        "milliseconds_per_request": round(1000 * seconds / max(1, len(batches)), 3),
        "rows_per_request": _BATCH,
    }


@contextlib.contextmanager
def _on_this_machine(folder: str) -> Iterator[str]:
    """The folder, or a copy of one in a store such as gs://, which servers may not read."""
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
    """The largest difference between rows, as a share of the value where that is above 1.

    Raises:
        InfraCheckError: it is more than `TOLERANCE`.
    """
    rows = len(expected)
    difference = np.abs(served - expected) / np.maximum(1, np.abs(expected))
    difference = difference.reshape(rows, -1).max(axis=1, initial=0.0)
    if not np.all(difference <= TOLERANCE):  # true for NaN, too
        worst = int(np.argmax(difference))
        raise InfraCheckError(
            f"infra check: expected served answers equal to the model's own to {TOLERANCE:g}, received {name} "
            f"{_shown(served[worst])} instead of {_shown(expected[worst])} for row {worst + 1} of the test split"
        )
    return float(difference.max(initial=0.0))


def _shown(value: np.ndarray) -> str:
    return np.array2string(value, precision=6, threshold=8)
