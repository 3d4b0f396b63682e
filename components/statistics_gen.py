"""TFX's StatisticsGen, which reads a batch at a time."""

from __future__ import annotations

from typing import Any

from tfx import types
from tfx.components.statistics_gen import component, executor
from tfx.dsl.components.base import executor_spec

from components.example_batches import read_in_batches


class Executor(executor.Executor):  # type: ignore[misc]
    def Do(  # noqa: N802 (TFX's name)
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Counts what TFX counts."""
        with read_in_batches():
            super().Do(input_dict, output_dict, exec_properties)


class StatisticsGen(component.StatisticsGen):  # type: ignore[misc]
    """Computes statistics of each split's columns; see TFX for the arguments."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
