"""Stops the run where the data breaks its schema, with the list of what is wrong."""

from __future__ import annotations

import os
from collections.abc import Sequence
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
        found = anomalies_of(anomalies.uri, artifact_utils.decode_split_names(anomalies.split_names))
        if found:
            raise DataError(
                "the data does not follow its schema:\n"
                + "\n".join(found)
                + "\nMend the data, or change schema.pbtxt if the data is right."
            )
        return result


def anomalies_of(folder: str, splits: Sequence[str]) -> list[str]:
    """What is wrong with the data, a line for each anomaly, from an anomalies artifact's folder."""
    return [line for split in splits for line in _lines(folder, split)]


def _lines(folder: str, split: str) -> list[str]:
    path = os.path.join(folder, f"Split-{split}", executor.DEFAULT_FILE_NAME)
    with fileio.open(path, "rb") as file:
        found = anomalies_pb2.Anomalies.FromString(file.read())
    lines = [f"  {split} split, {column}: {info.description}" for column, info in sorted(found.anomaly_info.items())]
    if found.HasField("dataset_anomaly_info"):
        lines.append(f"  {split} split: {found.dataset_anomaly_info.description}")
    return lines


class ExampleValidator(component.ExampleValidator):  # type: ignore[misc]
    """`tfx.components.ExampleValidator` with the executor above; the inputs and outputs are the same."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
