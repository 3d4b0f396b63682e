"""TFX's StatisticsGen, reading a batch at a time."""

from __future__ import annotations

from typing import Any

from tfx import types
from tfx.components.statistics_gen import component, executor
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import Channel, component_spec, standard_artifacts, standard_component_specs
from tfx.utils import json_utils

from components.example_batches import read_in_batches


class Executor(executor.Executor):  # type: ignore[misc]
    def Do(  # noqa: N802 (TFX's name)
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Computes the same statistics as TFX."""
        with read_in_batches():
            super().Do(input_dict, output_dict, exec_properties)


class _Spec(standard_component_specs.StatisticsGenSpec):  # type: ignore[misc]
    PARAMETERS = {  # noqa: RUF012 (TFX's attribute)
        **standard_component_specs.StatisticsGenSpec.PARAMETERS,
        "code": component_spec.ExecutionParameter(type=str),
    }


class StatisticsGen(component.StatisticsGen):  # type: ignore[misc]
    """Computes statistics of each split's columns.

    Args:
        examples: the raw examples.
        code: the version of this component's code; a change leads to new statistics.
    """

    SPEC_CLASS = _Spec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(self, examples: types.BaseChannel, code: str) -> None:
        statistics = Channel(type=standard_artifacts.ExampleStatistics)
        spec = _Spec(examples=examples, statistics=statistics, exclude_splits=json_utils.dumps([]), code=code)
        base_beam_component.BaseBeamComponent.__init__(self, spec=spec)
