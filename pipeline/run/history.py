"""Past runs, from ML Metadata."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml_metadata.proto import metadata_store_pb2
from rich.console import Console
from rich.table import Table

from components.evaluation.metrics.registry import METRICS
from components.properties import (
    METRICS_PROPERTY,
    REFRESHED_PROPERTY,
    REFUSALS_PROPERTY,
    REPORT_TYPE,
    SPAN_NAME_PROPERTY,
    UNJUDGED_PROPERTY,
)
from pipeline.run.metadata import open_store
from pipeline.terminal.tables import add_row, new_table
from schema.errors import RanklineError, listing, nearest
from schema.feature_spec import FeatureSpec

_ANY_WIDTH = 10_000


_State = metadata_store_pb2.Execution
_INPUT = metadata_store_pb2.Event.INPUT


@dataclass(frozen=True)
class Run:
    """One run of the pipeline, finished or not."""

    run_id: str
    dataset: str
    model: str | None = None
    """The kind of model, of one with newer items after "refreshed"; None if the run did not reach training."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The metrics on the test split; empty if the run did not reach evaluation."""
    blessed: bool | None = None
    """Whether the model was blessed; None if the run did not reach evaluation."""
    pushed_version: str | None = None
    report: str | None = None
    """The folder of the report; None if the run did not reach it."""
    failed: str | None = None
    """The component that stopped the run."""
    unfinished: str | None = None
    """The component that is running, or was when the run was killed."""
    refusals: Sequence[str] = ()
    """The reasons why the model was refused."""
    unjudged: Sequence[str] = ()
    """The metrics that could not be judged over the whole test split, with the reasons."""


def list_runs(connection: metadata_store_pb2.ConnectionConfig) -> list[Run]:
    """All runs in a metadata store that trained a model, or should have, newest first.

    Args:
        connection: the connection to the store; an SQLite file that is missing holds no runs.
    """
    store = _opened(connection)
    if store is None:
        return []
    types = {kind.id: kind.name for kind in store.get_execution_types()}
    # Their names sort by time only if Rankline has chosen them.
    contexts = sorted(store.get_contexts_by_type("pipeline_run"), key=lambda context: context.id, reverse=True)
    runs = [_run(store, types, context) for context in contexts]
    # A comparison of models only prepares their data through the pipeline.
    return [run for run in runs if run.model or run.failed or run.unfinished]


def with_report(connection: metadata_store_pb2.ConnectionConfig, run_id: str | None, dataset: str | None = None) -> str:
    """The folder of a run's report.

    Args:
        connection: the connection to the store, as for `list_runs`.
        run_id: the run's name; None for the latest run with a report.
        dataset: the dataset whose runs count; None for all datasets.

    Raises:
        RanklineError: there is no such run, or it has no report.
    """
    runs = [run for run in list_runs(connection) if dataset in (None, run.dataset)]
    latest = next((run for run in runs if run.report), None)
    folder = _chosen(runs, run_id, latest, "report", "a run that came to its end").report
    if folder is None:
        raise RanklineError(f"report: expected a run that came to its end, received {run_id}, which did not")
    return folder


def _chosen(runs: Sequence[Run], run_id: str | None, latest: Run | None, who: str, expected: str) -> Run:
    """The run with a name, or the latest that will do if no name is given.

    Raises:
        RanklineError: there is no such run.
    """
    found = latest if run_id is None else next((run for run in runs if run.run_id == run_id), None)
    if found is not None:
        return found
    if run_id is None:
        raise RanklineError(f"{who}: expected {expected}, found none; `rankline run` makes one")
    names = [run.run_id for run in runs]
    raise RanklineError(
        f"{who}: expected one of the runs {listing(names)}, received {run_id!r}{nearest(run_id, names)}"
    )


@dataclass(frozen=True)
class TrainedModel:
    """A model that a run has trained and evaluated.

    Attributes:
        run_id: the name of the run.
        dataset: the name of the dataset.
        name: the kind of model.
        spec: the resolved feature spec that the model was trained with.
        examples: the folder of the raw examples, with the latest items and contexts.
        model: the folder of the model.
        transform_graph: the folder of the transform graph that its data went through.
        evaluation: the folder of the evaluation.
    """

    run_id: str
    dataset: str
    name: str
    spec: FeatureSpec
    examples: str
    model: str
    transform_graph: str
    evaluation: str


def trained(connection: metadata_store_pb2.ConnectionConfig, dataset: str, run_id: str | None) -> TrainedModel:
    """The model of a run.

    Args:
        connection: the connection to the store, as for `list_runs`.
        dataset: the dataset of the run.
        run_id: the run's name; None for the latest run whose model was blessed.

    Raises:
        RanklineError: there is no such run, or it has not evaluated a model.
    """
    runs = [run for run in list_runs(connection) if run.dataset == dataset]
    latest = next((run for run in runs if run.blessed), None)
    run = _chosen(runs, run_id, latest, dataset, "a run whose model was blessed")
    if run.blessed is None:
        raise RanklineError(f"{dataset}: expected a run that has judged its model, received {run_id}, which has not")
    store = _opened(connection)
    types = {kind.id: kind.name for kind in store.get_execution_types()}
    executions = _executions(store, types, store.get_context_by_type_and_name("pipeline_run", run.run_id))
    artifacts = _outputs(store, executions.values())
    return TrainedModel(
        run_id=run.run_id,
        dataset=dataset,
        name=run.model or "",
        spec=FeatureSpec.model_validate_json(_config(executions["Trainer"])["spec"]),
        examples=_outputs(store, [executions["ExampleGen"]])["Examples"].uri,
        model=artifacts["Model"].uri,
        transform_graph=artifacts["TransformGraph"].uri,
        evaluation=artifacts["ModelEvaluation"].uri,
    )


@dataclass(frozen=True)
class Origin:
    """The artifacts and metrics of the run that pushed a version.

    Attributes:
        version: the number of the version.
        schema: the folder of the schema.
        statistics: the folder of the splits' statistics.
        evaluation: the folder of the evaluation.
        metrics: the metrics on the test split.
    """

    version: int
    schema: str
    statistics: str
    evaluation: str
    metrics: Mapping[str, float]


def origin_of(connection: metadata_store_pb2.ConnectionConfig, dataset: str, version: int) -> Origin:
    """The origin of a pushed version.

    Args:
        connection: the connection to the store, as for `list_runs`.
        dataset: the dataset whose model was pushed.
        version: the number of the version.

    Raises:
        RanklineError: no known run pushed the version.
    """
    store = _opened(connection)
    for context in store.get_contexts_by_type("pipeline_run") if store else ():
        artifacts = _outputs(store, store.get_executions_by_context(context.id))
        pushed = artifacts.get("PushedModel")
        (pipeline,) = [each for each in store.get_parent_contexts_by_context(context.id) if each.type == "pipeline"]
        if pipeline.name != dataset or pushed is None:
            continue
        if pushed.custom_properties["pushed_version"].string_value == str(version):
            artifacts = _of_training(store, context, artifacts)
            evaluation = artifacts["ModelEvaluation"]
            return Origin(
                version=version,
                schema=artifacts["Schema"].uri,
                statistics=artifacts["ExampleStatistics"].uri,
                evaluation=evaluation.uri,
                metrics=json.loads(evaluation.custom_properties[METRICS_PROPERTY].string_value),
            )
    raise RanklineError(f"{dataset}: expected a run that pushed version {version}, found none; see `rankline runs`")


def _of_training(store: Any, context: Any, artifacts: dict[str, Any]) -> dict[str, Any]:
    """The artifacts of the run that trained a run's model: the run's own, unless it has refreshed another's model."""
    if "ModelEvaluation" in artifacts:
        return artifacts
    executions = [execution.id for execution in store.get_executions_by_context(context.id)]
    inputs = [event for event in store.get_events_by_execution_ids(executions) if event.type == _INPUT]
    (trained,) = {
        artifact.id
        for artifact in store.get_artifacts_by_id([event.artifact_id for event in inputs])
        if artifact.type == "Model" and REFRESHED_PROPERTY not in artifact.custom_properties
    }
    made = [event.execution_id for event in store.get_events_by_artifact_ids([trained]) if event.type != _INPUT]
    runs = (each for execution in made for each in store.get_contexts_by_execution(execution))
    found = (_outputs(store, store.get_executions_by_context(run.id)) for run in runs if run.type == "pipeline_run")
    return next(each for each in found if "ModelEvaluation" in each)


def span_of_run(connection: metadata_store_pb2.ConnectionConfig, run_id: str) -> str | None:
    """The span of the examples that a run has made or reused, as users write it; None if it has no examples yet.

    Args:
        connection: the connection to the store, as for `list_runs`.
        run_id: the name of the run.
    """
    store = _opened(connection)
    context = store.get_context_by_type_and_name("pipeline_run", run_id) if store else None
    if store is None or context is None:
        return None
    spans = {
        artifact.id: artifact.custom_properties[SPAN_NAME_PROPERTY].string_value
        for artifact in store.get_artifacts_by_context(context.id)
        if SPAN_NAME_PROPERTY in artifact.custom_properties
    }
    return spans[max(spans)] or None if spans else None


def _opened(connection: metadata_store_pb2.ConnectionConfig) -> Any:
    """The store, opened for reading; None for an SQLite file that is missing."""
    if connection.HasField("sqlite"):
        if not Path(connection.sqlite.filename_uri).exists():
            return None
        connection = copy.deepcopy(connection)
        connection.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READONLY
    return open_store(connection)


def _run(store: Any, types: Mapping[int, str], context: Any) -> Run:
    executions = _executions(store, types, context)
    artifacts = _outputs(store, executions.values())
    (pipeline,) = [c for c in store.get_parent_contexts_by_context(context.id) if c.type == "pipeline"]
    model = None
    if "Trainer" in executions:
        model = json.loads(_config(executions["Trainer"])["params"])["model"]
    elif "Refresher" in executions and "Model" in artifacts:
        model = f"refreshed {artifacts['Model'].custom_properties[REFRESHED_PROPERTY].string_value}"
    evaluation, blessing = artifacts.get("ModelEvaluation"), artifacts.get("ModelBlessing")
    refusals = tuple(
        line for made in (evaluation, artifacts.get("InfraBlessing")) for line in _noted(made, REFUSALS_PROPERTY)
    )
    pushed, report = artifacts.get("PushedModel"), artifacts.get(REPORT_TYPE)
    return Run(
        run_id=context.name,
        dataset=pipeline.name,
        model=model,
        metrics=json.loads(evaluation.custom_properties[METRICS_PROPERTY].string_value) if evaluation else {},
        blessed=blessing.custom_properties["blessed"].int_value == 1 and not refusals if blessing else None,
        refusals=refusals,
        unjudged=tuple(_noted(evaluation, UNJUDGED_PROPERTY)),
        pushed_version=(pushed.custom_properties["pushed_version"].string_value or None) if pushed else None,
        report=report.uri if report else None,
        failed=_in_state(executions, _State.FAILED),
        unfinished=_in_state(executions, _State.RUNNING),
    )


def _executions(store: Any, types: Mapping[int, str], context: Any) -> dict[str, Any]:
    """The executions of a run, by component."""
    return {types[e.type_id].split(".")[-1]: e for e in store.get_executions_by_context(context.id)}


def _config(trainer: Any) -> Mapping[str, str]:
    """The Trainer's `custom_config`, as `pipeline.run.graph` writes it."""
    told: Mapping[str, str] = json.loads(trainer.custom_properties["custom_config"].string_value)
    return told


def _noted(artifact: Any, name: str) -> list[str]:
    """Does what `components.properties.noted` does, for an artifact from the store."""
    found: list[str] = []
    if artifact is not None and name in artifact.custom_properties:
        found = json.loads(artifact.custom_properties[name].string_value or "[]")
    return found


def _in_state(executions: Mapping[str, Any], state: int) -> str | None:
    return next((name for name, execution in executions.items() if execution.last_known_state == state), None)


def _outputs(store: Any, executions: Iterable[Any]) -> dict[str, Any]:
    """Type -> the artifact of this type that the executions made or reused.

    The resolvers' artifacts, another run's model and blessing, are not among them.
    """
    events = store.get_events_by_execution_ids([execution.id for execution in executions])
    ids = {event.artifact_id for event in events if event.type == metadata_store_pb2.Event.OUTPUT}
    return {artifact.type: artifact for artifact in store.get_artifacts_by_id(ids)}


def runs_table(runs: Sequence[Run]) -> Table:
    """A table of runs, one line each."""
    shown = [name for name in METRICS if any(name in run.metrics for run in runs)]
    table = new_table("", "run", "dataset", "model", *(f"{name}#" for name in shown), "blessed", "pushed")
    for run in runs:
        metrics = [f"{run.metrics[name]:.4f}" if name in run.metrics else "" for name in shown]
        blessed = {True: "unjudged" if run.unjudged else "yes", False: "no", None: ""}[run.blessed]
        if run.failed or run.unfinished:
            blessed = f"stopped: {run.failed}" if run.failed else f"unfinished: {run.unfinished}"
        add_row(table, run.run_id, run.dataset, run.model or "", *metrics, blessed, run.pushed_version or "")
    # The terminal breaks lines that are longer than it is wide; rich would break up every word.
    table.width = Console(width=_ANY_WIDTH).measure(table).maximum
    return table
