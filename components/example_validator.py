"""Stops the run where the data breaks its schema, with the list of what is wrong."""

from __future__ import annotations

import os
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import types
from tfx.components.example_validator import component, executor
from tfx.dsl.components.base import executor_spec
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_component_specs

from schema.errors import DataError


class Executor(executor.Executor):  # type: ignore[misc]
    def Do(  # noqa: N802 (TFX's name)
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> Any:
        """Validates every split as TFX does, then refuses to go on if there are anomalies.

        Raises:
            DataError: with a line for each anomaly.
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


class ExampleValidator(component.ExampleValidator):  # type: ignore[misc]
    """`tfx.components.ExampleValidator` with the executor above; the inputs and outputs are the same."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
