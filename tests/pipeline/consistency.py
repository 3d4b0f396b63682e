"""Checks of ML Metadata's contents that hold at any moment, also after a kill."""

from __future__ import annotations

import collections
import sqlite3
from pathlib import Path
from typing import Any

from ml_metadata.proto import metadata_store_pb2

from components.digests import DIGEST_PROPERTY, digest_of
from pipeline.config.metadata import Sqlite
from pipeline.run.metadata import connection, open_store

_STATE = metadata_store_pb2.Execution
_LIVE = metadata_store_pb2.Artifact.LIVE


def check_metadata(path: Path, killed: int) -> None:
    """Fails unless the store is whole and says nothing of outputs that are not there.

    Args:
        path: of the SQLite file; it may be missing.
        killed: so many runs were killed; each may have left one execution that still counts as running.
    """
    if not path.exists():
        return
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()
    store = open_store(connection(Sqlite(), path))
    executions = {execution.id: execution for execution in store.get_executions()}
    artifacts = {artifact.id: artifact for artifact in store.get_artifacts()}
    events = store.get_events_by_execution_ids(list(executions)) if executions else []
    assert {event.artifact_id for event in events} <= set(artifacts)

    _check_outputs(executions, artifacts, events)
    unfinished = [e for e in executions.values() if e.last_known_state == _STATE.RUNNING]
    assert len(unfinished) <= killed
    by_run_and_node = collections.Counter(
        (run.name, execution.type_id)
        for run in store.get_contexts_by_type("pipeline_run")
        for execution in store.get_executions_by_context(run.id)
    )
    assert set(by_run_and_node.values()) <= {1}


def _check_outputs(executions: dict[int, Any], artifacts: dict[int, Any], events: list[Any]) -> None:
    """An artifact was made by one execution, which is complete, and its files are there as that has left them."""
    makers = collections.defaultdict(list)
    keys = collections.Counter()
    for event in events:
        if event.type == metadata_store_pb2.Event.OUTPUT:
            makers[event.artifact_id].append(executions[event.execution_id].last_known_state)
            keys[event.execution_id, event.path.steps[0].key] += 1
    assert set(keys.values()) <= {1}
    for artifact in artifacts.values():
        assert makers[artifact.id].count(_STATE.COMPLETE) == 1
        assert set(makers[artifact.id]) <= {_STATE.COMPLETE, _STATE.CACHED}
        if artifact.state == _LIVE:
            assert Path(artifact.uri).is_dir()
            assert artifact.custom_properties[DIGEST_PROPERTY].string_value == digest_of(artifact.uri)


def times_made(path: Path) -> dict[str, int]:
    """Component -> how often it was run to its end; without those that do so in every run."""
    store = open_store(connection(Sqlite(), path))
    names = {kind.id: kind.name.split(".")[-1] for kind in store.get_execution_types()}
    made = [names[e.type_id] for e in store.get_executions() if e.last_known_state == _STATE.COMPLETE]
    in_every_run = ("Pusher", "Report", "Resolver")
    return {name: count for name, count in collections.Counter(made).items() if name not in in_every_run}
