"""Stops the run if the data breaks its schema, and lists the anomalies."""

from __future__ import annotations

import os
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import types
from tfx.components.example_validator import component, executor
from tfx.dsl.components.base import base_component, executor_spec
from tfx.dsl.io import fileio
from tfx.types import Channel, artifact_utils, component_spec, standard_artifacts, standard_component_specs
from tfx.utils import json_utils

from schema.errors import DataError


class Executor(executor.Executor):  # type: ignore[misc]
    def Do(  # noqa: N802 (TFX's name)
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> Any:
        """Validates every split as TFX does.

        Raises:
            DataError: there are anomalies; the message has a line for each.
        """
        result = super().Do(input_dict, output_dict, exec_properties)
        anomalies = artifact_utils.get_single_instance(output_dict[standard_component_specs.ANOMALIES_KEY])
        found = [
            line
            for split in artifact_utils.decode_split_names(anomalies.split_names)
            for line in _lines(anomalies, split)
        ]
        if found:
            raise DataError(
                "the data does not follow its schema:\n"
                + "\n".join(found)
                + "\nMend the data, or change schema.pbtxt if the data is right."
            )
        return result


def _lines(anomalies: types.Artifact, split: str) -> list[str]:
    path = os.path.join(artifact_utils.get_split_uri([anomalies], split), executor.DEFAULT_FILE_NAME)
    with fileio.open(path, "rb") as file:
        found = anomalies_pb2.Anomalies.FromString(file.read())
    lines = [f"  {split} split, {column}: {info.description}" for column, info in sorted(found.anomaly_info.items())]
    if found.HasField("dataset_anomaly_info"):
        lines.append(f"  {split} split: {found.dataset_anomaly_info.description}")
    return lines


class _Spec(standard_component_specs.ExampleValidatorSpec):  # type: ignore[misc]
    PARAMETERS = {  # noqa: RUF012 (TFX's attribute)
        **standard_component_specs.ExampleValidatorSpec.PARAMETERS,
        "code": component_spec.ExecutionParameter(type=str),
    }


class ExampleValidator(component.ExampleValidator):  # type: ignore[misc]
    """`tfx.components.ExampleValidator` with the executor above.

    Args:
        statistics: the statistics of the examples.
        schema: the schema that the examples must follow.
        code: the version of this component's code; a change leads to a new validation.
    """

    SPEC_CLASS = _Spec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, statistics: types.BaseChannel, schema: types.BaseChannel, code: str) -> None:
        anomalies = Channel(type=standard_artifacts.ExampleAnomalies)
        spec = _Spec(
            statistics=statistics,
            schema=schema,
            anomalies=anomalies,
            exclude_splits=json_utils.dumps([]),
            custom_validation_config=None,
            code=code,
        )
        base_component.BaseComponent.__init__(self, spec=spec)
