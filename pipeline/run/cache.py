"""Verifies cached outputs: a digest of the files is stored with each output, and is compared before the output is
reused.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from typing import Any

from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.io import fileio
from tfx.orchestration.portable import (
    base_driver_operator,
    beam_executor_operator,
    cache_utils,
    data_types,
    outputs_utils,
    python_executor_operator,
)
from tfx.proto.orchestration import driver_output_pb2, executable_spec_pb2

from components.digests import DIGEST_PROPERTY, digest_of, is_intact

_log = logging.getLogger(__name__)


def _run(execution: data_types.ExecutionInfo, executor: Callable[[data_types.ExecutionInfo], Any]) -> Any:
    """Runs an executor on empty output folders, and stores a digest of the files in each with its artifact."""
    # They contain files if an attempt at this execution was killed, or if metadata was lost and execution ids repeat.
    outputs_utils.remove_output_dirs(execution.output_dict)
    outputs_utils.make_output_dirs(execution.output_dict)
    output = executor(execution)
    for artifacts in output.output_artifacts.values():
        for artifact in artifacts.artifacts:
            artifact.custom_properties[DIGEST_PROPERTY].string_value = digest_of(artifact.uri)
    return output


class _PythonOperator(python_executor_operator.PythonExecutorOperator):  # type: ignore[misc]
    def run_executor(self, execution_info: data_types.ExecutionInfo) -> Any:
        return _run(execution_info, super().run_executor)


class _BeamOperator(beam_executor_operator.BeamExecutorOperator):  # type: ignore[misc]
    def run_executor(self, execution_info: data_types.ExecutionInfo, make_beam_pipeline_fn: Any = None) -> Any:
        executor = functools.partial(super().run_executor, make_beam_pipeline_fn=make_beam_pipeline_fn)
        return _run(execution_info, executor)


EXECUTOR_OPERATORS = {
    executable_spec_pb2.PythonClassExecutableSpec: _PythonOperator,
    executable_spec_pb2.BeamExecutableSpec: _BeamOperator,
}
"""The operators with which TFX's launcher runs executors."""


class CacheCheck(base_driver_operator.BaseDriverOperator):  # type: ignore[misc]
    """Removes outputs whose files have changed from the cache.

    TFX's launcher calls it as a node's driver: after it resolves the inputs, before it looks up former outputs.

    Args:
        on_damaged: called with the URI of each such output.
        executor_spec: the node's executor, in the place of a driver.
        mlmd_connection: the connection to ML Metadata.
    """

    SUPPORTED_EXECUTABLE_SPEC_TYPE = tuple(EXECUTOR_OPERATORS)

    def __init__(self, on_damaged: Callable[[str], None], executor_spec: Any, mlmd_connection: Any) -> None:
        super().__init__(executor_spec, mlmd_connection)
        self._on_damaged = on_damaged

    def run_driver(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """Marks damaged outputs for deletion, so that neither this node nor later ones find them."""
        fileio.rmtree(os.path.dirname(execution_info.execution_output_uri))  # for what a driver in a container writes
        with self._mlmd_connection as handle:
            context = cache_utils.get_cache_context(
                metadata_handle=handle,
                pipeline_node=execution_info.pipeline_node,
                pipeline_info=execution_info.pipeline_info,
                executor_spec=self._driver_spec,
                input_artifacts=execution_info.input_dict,
                output_artifacts=execution_info.output_dict,
                parameters=execution_info.exec_properties,
            )
            while outputs := cache_utils.get_cached_outputs(metadata_handle=handle, cache_context=context):
                damaged = [
                    artifact for artifacts in outputs.values() for artifact in artifacts if not is_intact(artifact)
                ]
                if not damaged:
                    break
                for artifact in damaged:
                    _log.warning("%s is not reused, since its files have changed", artifact.uri)
                    self._on_damaged(artifact.uri)
                    artifact.mlmd_artifact.state = metadata_store_pb2.Artifact.MARKED_FOR_DELETION
                handle.store.put_artifacts([artifact.mlmd_artifact for artifact in damaged])
        return driver_output_pb2.DriverOutput()
