"""Launches one node of the pipeline, as a local run does in turn and as a pod of a cluster does alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ml_metadata.proto import metadata_store_pb2
from tfx import types
from tfx.dsl.compiler import compiler, constants
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.pipeline import Pipeline
from tfx.orchestration.portable import data_types, launcher, runtime_parameter_utils
from tfx.orchestration.portable.mlmd import execution_lib
from tfx.proto.orchestration import pipeline_pb2

from schema.errors import RanklineError


@dataclass(frozen=True)
class Outcome:
    """What a node did."""

    cached: bool
    outputs: dict[str, list[types.Artifact]]


class CompiledPipeline:
    """A pipeline in TFX's intermediate representation, bound to one run.

    Args:
        pipeline: the pipeline.
        run_id: names the run in ML Metadata; the nodes of a run find each other's outputs by it.
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
        config = self._deployment.metadata_connection_config
        self._connection = getattr(config, config.WhichOneof("connection_config"))

    def node_ids(self) -> Iterator[str]:
        """The nodes, each after those that it depends on."""
        return iter(self._nodes)

    def launch(self, node_id: str) -> Outcome:
        """Resolves the node's inputs, runs it (or finds its cached outputs), and publishes its outputs.

        Raises:
            RanklineError: what the component refused, in the user's terms; or that nodes before it have not run.
            Exception: whatever else went wrong in the component.
        """
        node: pipeline_pb2.PipelineNode = self._nodes[node_id]
        info: data_types.ExecutionInfo | None = launcher.Launcher(
            pipeline_node=node,
            mlmd_connection=metadata.Metadata(self._connection),
            pipeline_info=self._ir.pipeline_info,
            pipeline_runtime_spec=self._ir.runtime_spec,
            executor_spec=runner_utils.extract_executor_spec(self._deployment, node_id),
            custom_driver_spec=runner_utils.extract_custom_driver_spec(self._deployment, node_id),
        ).launch()
        states = metadata_store_pb2.Execution
        with metadata.Metadata(self._connection) as handle:
            executions = handle.store.get_executions_by_id([info.execution_id] if info and info.execution_id else [])
            # The launcher raises nothing where inputs are missing: it marks the execution as failed, or makes none.
            if not executions or executions[0].last_known_state == states.FAILED:
                before = ", ".join(node.upstream_nodes)
                raise RanklineError(
                    f"{node_id}: expected outputs of {before} in this run, received none; run these first"
                )
            # As published: what the launcher returns lacks the properties that the executor has set.
            outputs = execution_lib.get_output_artifacts(handle, executions[0].id)
        return Outcome(executions[0].last_known_state == states.CACHED, outputs)
