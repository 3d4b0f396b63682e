"""Launches one node of the pipeline: a local run launches them in turn, a cluster launches each in a pod of its own.

`python -m pipeline.run.node` is the command of a pod. It rebuilds the pipeline from the configuration in its options,
and finds the outputs of earlier nodes in ML Metadata by the run's id.
"""

from __future__ import annotations

import functools
import json
import logging
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click
from ml_metadata.proto import metadata_store_pb2
from tfx import types
from tfx.dsl.compiler import compiler, constants
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.pipeline import Pipeline
from tfx.orchestration.portable import data_types, launcher, runtime_parameter_utils
from tfx.orchestration.portable.mlmd import execution_lib
from tfx.proto.orchestration import pipeline_pb2

from components.properties import REFUSALS_PROPERTY, WARNINGS_PROPERTY, noted
from pipeline.config import run as configuration
from pipeline.config.run import RunConfig
from pipeline.config.spans import SpanParams
from pipeline.run.cache import EXECUTOR_OPERATORS, CacheCheck
from pipeline.run.graph import create_pipeline
from pipeline.run.history import span_of_run
from pipeline.run.layout import Layout
from pipeline.run.metadata import connection, open_store
from pipeline.run.spans import dataset_in_window
from schema.errors import RanklineError, SpecError, listing, nearest
from schema.spans import LATEST

_Content = TypeVar("_Content")

PUSHED, REFUSED = 0, 3
"""Exit statuses of a run that came to its end: its model was pushed, or refused."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a node."""

    cached: bool
    outputs: dict[str, list[types.Artifact]]
    damaged: list[str]
    """The URIs of former outputs that were not reused, because their files have changed."""

    @property
    def refusals(self) -> list[str]:
        """The reasons why the model was refused, if the node has judged it or reports on it."""
        return [line for key in ("evaluation", "blessing", "report") for line in self._noted(key, REFUSALS_PROPERTY)]

    @property
    def warnings(self) -> list[str]:
        """The problems that have not stopped the node: damaged former outputs, oddities of the data or the verdict."""
        damaged = [f"not reused, since its files have changed: {uri}" for uri in self.damaged]
        keys = ("examples", "anomalies", "evaluation")
        return damaged + [line for key in keys for line in self._noted(key, WARNINGS_PROPERTY)]

    def _noted(self, key: str, name: str) -> list[str]:
        """The list in a property of an output."""
        return [line for artifact in self.outputs.get(key, ()) for line in noted(artifact, name)]


class _Handle(metadata.Metadata):  # type: ignore[misc]
    """TFX's access to a store of any kind."""

    def __enter__(self) -> _Handle:
        super().__enter__()  # retries if several processes create the tables at once
        self._store = open_store(self._connection_config)
        return self


class CompiledPipeline:
    """A pipeline in TFX's intermediate representation, bound to one run.

    Args:
        pipeline: the pipeline.
        run_id: the name of the run in ML Metadata, by which its nodes find each other's outputs.
    """

    def __init__(self, pipeline: Pipeline, run_id: str) -> None:
        self._ir = compiler.Compiler().compile(pipeline)
        runtime_parameter_utils.substitute_runtime_parameter(
            self._ir, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id}
        )
        self._deployment = runner_utils.extract_local_deployment_config(self._ir)
        self._nodes = {node.pipeline_node.node_info.id: node.pipeline_node for node in self._ir.nodes}
        for component in pipeline.components:
            if getattr(component, "ALWAYS_RUNS", False):
                self._nodes[component.id].execution_options.caching_options.enable_cache = False
        self._connection = pipeline.metadata_connection_config
        if self._connection.HasField("sqlite"):
            Path(self._connection.sqlite.filename_uri).parent.mkdir(parents=True, exist_ok=True)

    def node_ids(self) -> Iterator[str]:
        """The ids of the nodes, each after the nodes that it depends on."""
        return iter(self._nodes)

    def launch(self, node_id: str) -> Outcome:
        """Resolves the node's inputs, runs it (or finds its cached outputs), and publishes its outputs.

        Raises:
            RanklineError: the component refused its input, the nodes before it have not run, or there is no such node.
            Exception: anything else went wrong in the component.
        """
        if node_id not in self._nodes:
            raise RanklineError(
                f"expected one of the nodes {listing(self._nodes)}, received {node_id!r}{nearest(node_id, self._nodes)}"
            )
        node: pipeline_pb2.PipelineNode = self._nodes[node_id]
        executor_spec = runner_utils.extract_executor_spec(self._deployment, node_id)
        cached = node.execution_options.caching_options.enable_cache
        damaged: list[str] = []
        node_launcher = launcher.Launcher(
            pipeline_node=node,
            mlmd_connection=_Handle(self._connection),
            pipeline_info=self._ir.pipeline_info,
            pipeline_runtime_spec=self._ir.runtime_spec,
            executor_spec=executor_spec,
            custom_executor_operators=EXECUTOR_OPERATORS,
            custom_driver_spec=executor_spec if cached else None,
            custom_driver_operators={type(executor_spec): functools.partial(CacheCheck, damaged.append)},
        )
        try:
            info: data_types.ExecutionInfo | None = node_launcher.launch()
        except Exception as error:
            if refusal := _refusal(error):
                raise refusal from error
            raise
        states = metadata_store_pb2.Execution
        with _Handle(self._connection) as handle:
            executions = handle.store.get_executions_by_id([info.execution_id] if info and info.execution_id else [])
            # The launcher raises nothing if inputs are missing: it marks the execution as failed, or creates none.
            if not executions or executions[0].last_known_state == states.FAILED:
                before = ", ".join(node.upstream_nodes)
                if not before:  # a resolver, which has searched earlier runs
                    raise RanklineError(f"{node_id}: expected a model that was blessed, found none; run `rankline run`")
                raise RanklineError(
                    f"{node_id}: expected outputs of {before} in this run, received none; run these first"
                )
            # From the store: the outputs that the launcher returns lack the properties that the executor has set.
            outputs = execution_lib.get_output_artifacts(handle, executions[0].id)
        return Outcome(executions[0].last_known_state == states.CACHED, outputs, damaged)


def _refusal(error: BaseException) -> RanklineError | None:
    """The component's refusal without what Beam has wrapped around it; None for any other error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, RanklineError):
            # Beam adds the step's name to the message.
            return RanklineError(re.sub(r" \[while running '[^']*'\]", "", str(cause)))
        cause = cause.__cause__ or cause.__context__
    # An engine's worker raised the error elsewhere, and only the text that it printed arrives here.
    printed = re.match(r"\w+: (.+?) \[while running '", str(error).rpartition("\nschema.errors.")[2], re.DOTALL)
    return RanklineError(printed[1]) if printed else None


@click.command(context_settings={"max_content_width": 100})
@click.option("--node", "node_id", required=True, help="The node to run, such as Trainer.")
@click.option("--run-id", default="", help="The name of the run, the same for all of its nodes.")
@click.option("--job-id", default="", help="The name of the run if --run-id is empty: Kubeflow's own name for it.")
@click.option("--config", "config_text", default="{}", help="The content of a configuration file, as JSON.")
@click.option("--dataset", help="See `rankline run`.")
@click.option("--span", help="See `rankline run`. All nodes of a run read the span of its first one.")
@click.option("--model", help="See `rankline run`.")
@click.option("--root", type=click.Path(path_type=Path), help="See `rankline run`.")
@click.option("--settings", default="[]", help="The values for --set of `rankline run`: a list, as JSON.")
def main(
    node_id: str,
    run_id: str,
    job_id: str,
    config_text: str,
    dataset: str | None,
    span: str | None,
    model: str | None,
    root: Path | None,
    settings: str,
) -> None:
    """Run one node of the pipeline.

    Exit status: 0 if the node is done, 1 if something stopped it, 2 for wrong options, 3 if it has reported that the
    model was refused.
    """
    del sys.argv[1:]  # TFX would read them as options of Beam
    logging.basicConfig()
    logging.getLogger().setLevel(logging.INFO)  # because a library may have added a handler before
    try:
        if not (run_id or job_id):
            raise click.UsageError("expected a --run-id or a --job-id, received neither")
        config = configuration.resolve(
            _parsed("--config", config_text, dict, "an object"),
            {"dataset": dataset, "spans.span": span, "train.model": model, "root": root},
            [str(setting) for setting in _parsed("--settings", settings, list, "a list of KEY=VALUE")],
            "--config",
        )
        run_id = run_id or job_id
        found, warnings = dataset_in_window(config.dataset, _pinned(config, run_id))
        outcome = CompiledPipeline(create_pipeline(config, found), run_id).launch(node_id)
    except RanklineError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    for warning in [*warnings, *outcome.warnings]:
        click.echo(f"Warning: {warning}", err=True)
    click.echo(f"{node_id}: {'unchanged' if outcome.cached else 'done'}")
    for key, artifacts in sorted(outcome.outputs.items()):
        for artifact in artifacts:
            click.echo(f"  {key}: {artifact.uri}")
    if outcome.refusals:
        click.echo("Refused: the model is not pushed.")
        for reason in outcome.refusals:
            click.echo(f"  {reason}")
        # Only at the end, so that the report, which comes after the verdict, is written; a refresh has none.
        if "report" in outcome.outputs or config.refresh:
            sys.exit(REFUSED)


def _pinned(config: RunConfig, run_id: str) -> SpanParams:
    """The spans, pinned to the one that the run has begun with; the next run takes later ones."""
    store = connection(config.metadata, Layout(config.root.resolve(), "").metadata)
    begun = span_of_run(store, run_id) if config.spans.span == LATEST else None
    return config.spans.model_copy(update={"span": begun}) if begun else config.spans


def _parsed(option: str, text: str, kind: type[_Content], expected: str) -> _Content:
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if not isinstance(content, kind):
        raise SpecError(f"{option}: expected {expected} as JSON, received {text!r}")
    return content


if __name__ == "__main__":
    main()
