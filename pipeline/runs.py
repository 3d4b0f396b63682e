"""What ML Metadata knows about past runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from components.properties import METRICS_PROPERTY


@dataclass(frozen=True)
class Run:
    """One run of the pipeline, finished or not."""

    run_id: str
    dataset: str
    model: str | None = None
    """None where training was not reached."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Of the test split; empty where evaluation was not reached."""
    blessed: bool | None = None
    pushed_version: str | None = None
    failed: str | None = None
    """The component that stopped the run."""


def list_runs(metadata: Path) -> list[Run]:
    """All runs in a metadata store, newest first.

    Args:
        metadata: the SQLite file; a missing one holds no runs.
    """
    if not metadata.exists():
        return []
    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(metadata)
    config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READONLY
    store = mlmd.MetadataStore(config)
    runs = [_run(store, context) for context in store.get_contexts_by_type("pipeline_run")]
    return sorted(runs, key=lambda run: run.run_id, reverse=True)


def _run(store: mlmd.MetadataStore, context: metadata_store_pb2.Context) -> Run:
    executions = {_node(store, e): e for e in store.get_executions_by_context(context.id)}
    failed = next((n for n, e in executions.items() if e.last_known_state == metadata_store_pb2.Execution.FAILED), None)
    model = None
    if trainer := executions.get("Trainer"):
        custom_config = json.loads(trainer.custom_properties["custom_config"].string_value)
        model = json.loads(custom_config["params"])["model"]
    outputs = {node: _outputs(store, execution) for node, execution in executions.items()}
    metrics: Mapping[str, float] = {}
    if evaluation := outputs.get("Evaluator", {}).get("ModelEvaluation"):
        metrics = _json(evaluation.custom_properties[METRICS_PROPERTY])
    blessing = outputs.get("Evaluator", {}).get("ModelBlessing")
    pushed = outputs.get("Pusher", {}).get("PushedModel")
    return Run(
        run_id=context.name.split(".", 1)[-1] if False else context.name,
        dataset="",
        model=model,
        metrics=metrics,
        blessed=None if blessing is None else blessing.custom_properties["blessed"].int_value == 1,
        pushed_version=pushed.custom_properties["pushed_version"].string_value or None if pushed else None,
        failed=failed,
    )
