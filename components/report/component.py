"""The last component, which writes the report of a run, even if the model was refused."""

from __future__ import annotations

import json
import os
from typing import Any

import tensorflow as tf
from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import Channel, artifact_utils, component_spec, standard_artifacts
from tfx.types.artifact import Artifact

from components.properties import (
    REFUSALS_PROPERTY,
    REPORT_TYPE,
    SPAN_NAME_PROPERTY,
    UNCHANGED_PROPERTY,
    WARNINGS_PROPERTY,
    noted,
)
from components.report import page
from components.report.document import FACTS_FILE, MARKDOWN_FILE, PAGE_FILE, Made
from components.report.gather import ReportedRun, gather
from schema.feature_spec import FeatureSpec

_INPUTS = {
    "examples": standard_artifacts.Examples,
    "statistics": standard_artifacts.ExampleStatistics,
    "schema": standard_artifacts.Schema,
    "transform_graph": standard_artifacts.TransformGraph,
    "model": standard_artifacts.Model,
    "evaluation": standard_artifacts.ModelEvaluation,
    "model_blessing": standard_artifacts.ModelBlessing,
    "infra_blessing": standard_artifacts.InfraBlessing,
    "pushed_model": standard_artifacts.PushedModel,
}
_PERHAPS = {"baseline_model": standard_artifacts.Model, "drift": standard_artifacts.ExampleAnomalies}


class ReportArtifact(Artifact):  # type: ignore[misc]
    """A report as a page, as Markdown and as JSON facts."""

    TYPE_NAME = REPORT_TYPE


class _Spec(component_spec.ComponentSpec):  # type: ignore[misc]
    PARAMETERS = {  # noqa: RUF012 (TFX's attribute)
        name: component_spec.ExecutionParameter(type=str) for name in ("spec", "config", "files", "remarks", "code")
    }
    INPUTS = {  # noqa: RUF012
        **{name: component_spec.ChannelParameter(type=kind) for name, kind in _INPUTS.items()},
        **{name: component_spec.ChannelParameter(type=kind, optional=True) for name, kind in _PERHAPS.items()},
    }
    OUTPUTS = {"report": component_spec.ChannelParameter(type=ReportArtifact)}  # noqa: RUF012


class Executor(base_executor.BaseExecutor):  # type: ignore[misc]
    def Do(  # noqa: N802 (TFX's name)
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Gathers the report's facts and writes them as page, Markdown and JSON."""
        output = artifact_utils.get_single_instance(output_dict["report"])
        artifacts = {name: artifacts[0] for name, artifacts in input_dict.items() if artifacts}
        pushed = artifacts["pushed_model"]
        refusals = [
            line for name in ("evaluation", "infra_blessing") for line in noted(artifacts[name], REFUSALS_PROPERTY)
        ]
        report = gather(
            ReportedRun(
                # On Vertex AI, a task knows only its own name.
                run_id=self._context.pipeline_run_id or self._context._unique_id,
                spec=FeatureSpec.model_validate_json(exec_properties["spec"]),
                config=json.loads(exec_properties["config"]),
                files=json.loads(exec_properties["files"]),
                code=exec_properties["code"],
                span=artifacts["examples"].get_string_custom_property(SPAN_NAME_PROPERTY),
                warnings=[
                    *json.loads(exec_properties["remarks"]),
                    *(
                        line
                        for name in ("examples", "drift")
                        if name in artifacts
                        for line in noted(artifacts[name], WARNINGS_PROPERTY)
                    ),
                ],
                folders={name: artifact.uri for name, artifact in artifacts.items()},
                blessed=artifacts["model_blessing"].get_int_custom_property("blessed") == 1 and not refusals,
                refusals=refusals,
                pushed=pushed.get_string_custom_property("pushed_destination") or None,
                unchanged=pushed.get_int_custom_property(UNCHANGED_PROPERTY) == 1,
                artifacts=[
                    Made(what=name, id=artifact.id, uri=artifact.uri) for name, artifact in sorted(artifacts.items())
                ],
            )
        )
        output.set_string_custom_property(REFUSALS_PROPERTY, json.dumps(refusals))
        tf.io.gfile.makedirs(output.uri)
        for name, content in (
            (PAGE_FILE, page.html(report)),
            (MARKDOWN_FILE, page.markdown(report)),
            (FACTS_FILE, report.model_dump_json(indent=1)),
        ):
            with tf.io.gfile.GFile(os.path.join(output.uri, name), "w") as file:
                file.write(content)


class Report(base_component.BaseComponent):  # type: ignore[misc]
    """Writes the report from the outputs of the other components.

    Args:
        spec: the resolved feature spec as JSON.
        config: the run's configuration, as JSON.
        files: the dataset's files as JSON, see `components.example_gen.fingerprinted`.
        remarks: the oddities of these files, as a JSON list of lines.
        code: the version of all of Rankline's code.
        **inputs: the channels of the other components' outputs, by the names in `_INPUTS`, and those of `_PERHAPS` if
            there are any.
    """

    SPEC_CLASS = _Spec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self, spec: str, config: str, files: str, remarks: str, code: str, **inputs: types.BaseChannel
    ) -> None:
        report = Channel(type=ReportArtifact)
        super().__init__(
            _Spec(spec=spec, config=config, files=files, remarks=remarks, code=code, **inputs, report=report)
        )
