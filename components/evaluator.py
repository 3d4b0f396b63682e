"""Judges the model on the test split, and stores the verdict so that it can be read without TFMA."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter
from tfx import types
from tfx.components.evaluator import component, constants, executor
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.dsl.io import fileio
from tfx.types import Channel, artifact_utils, component_spec, standard_artifacts, standard_component_specs
from tfx.utils import io_utils, json_utils

from components.evaluation import baseline, evaluated_rows, gate, results
from components.evaluation.metrics.registry import METRICS
from components.evaluation.tfma_config import eval_config
from components.evaluation.thresholds import GateParams, Threshold
from components.example_batches import read_in_batches
from components.properties import METRICS_PROPERTY, REFUSALS_PROPERTY, UNJUDGED_PROPERTY, WARNINGS_PROPERTY
from schema.feature_spec import FeatureSpec

_THRESHOLDS = TypeAdapter(dict[str, Threshold])

_log = logging.getLogger(__name__)


class _Spec(standard_component_specs.EvaluatorSpec):  # type: ignore[misc]
    PARAMETERS = {  # noqa: RUF012 (TFX's attribute)
        **standard_component_specs.EvaluatorSpec.PARAMETERS,
        **{name: component_spec.ExecutionParameter(type=str) for name in ("spec", "thresholds", "params", "code")},
    }


class Executor(executor.Executor):  # type: ignore[misc]
    def Do(  # noqa: N802 (TFX's name)
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Evaluates as TFX does, then judges by the gate; stores rows, metrics and reasons with the evaluation."""
        evaluation = artifact_utils.get_single_instance(output_dict[standard_component_specs.EVALUATION_KEY])
        blessing = artifact_utils.get_single_instance(output_dict[standard_component_specs.BLESSING_KEY])
        spec = FeatureSpec.model_validate_json(exec_properties["spec"])
        is_first = not input_dict.get(standard_component_specs.BASELINE_MODEL_KEY)
        remarks = []
        if unfit := _misfits(input_dict, spec):
            input_dict = {**input_dict, standard_component_specs.BASELINE_MODEL_KEY: []}
            remarks.append(f"not compared with the last blessed model: {'; '.join(unfit)}")
        with read_in_batches(), evaluated_rows.kept_in(evaluation.uri, spec):
            super().Do(input_dict, output_dict, exec_properties)
        evaluation.set_string_custom_property(METRICS_PROPERTY, json.dumps(_metrics(evaluation.uri)))
        thresholds = _THRESHOLDS.validate_json(exec_properties["thresholds"])
        params = GateParams.model_validate_json(exec_properties["params"])
        verdict = gate.judge(evaluation.uri, spec, thresholds, params, is_first, remarks)
        gate.write(verdict, evaluation.uri)
        told = gate.told(verdict)
        for line in (*verdict.refusals, *told):
            _log.warning("%s", line)
        evaluation.set_string_custom_property(REFUSALS_PROPERTY, json.dumps(verdict.refusals))
        evaluation.set_string_custom_property(UNJUDGED_PROPERTY, json.dumps(verdict.unjudged))
        evaluation.set_string_custom_property(WARNINGS_PROPERTY, json.dumps(told))
        if verdict.refusals:
            _take_back(blessing)


class Evaluator(component.Evaluator):  # type: ignore[misc]
    """Evaluates a model with TFMA and Rankline's metrics, and judges it by the gate.

    Args:
        examples: the raw examples, which have the split `split`.
        model: the candidate.
        baseline_model: the model to compare with; the channel may be empty.
        schema: the schema of the examples.
        spec: the resolved feature spec.
        thresholds: the bounds that refuse the model, by metric; see `components.evaluation.thresholds.applicable`.
        params: the rows that it takes to judge a model.
        split: the split to judge the model on.
        code: the version of the metrics' code; a change leads to a new evaluation.
    """

    SPEC_CLASS = _Spec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        baseline_model: types.BaseChannel,
        schema: types.BaseChannel,
        spec: FeatureSpec,
        thresholds: Mapping[str, Threshold],
        params: GateParams,
        split: str,
        code: str,
    ) -> None:
        made = _Spec(
            examples=examples,
            model=model,
            baseline_model=baseline_model,
            schema=schema,
            eval_config=eval_config(spec),
            spec=spec.model_dump_json(),
            thresholds=_THRESHOLDS.dump_json(dict(thresholds)).decode(),
            params=params.model_dump_json(),
            example_splits=json_utils.dumps([split]),
            module_path="components.evaluation.tfma_extracts",
            code=code,
            evaluation=Channel(type=standard_artifacts.ModelEvaluation),
            blessing=Channel(type=standard_artifacts.ModelBlessing),
        )
        base_beam_component.BaseBeamComponent.__init__(self, spec=made)


def _misfits(inputs: Mapping[str, list[types.Artifact]], spec: FeatureSpec) -> list[str]:
    """The reasons why the last blessed model, if there is one, cannot be compared with the candidate."""
    models = inputs.get(standard_component_specs.BASELINE_MODEL_KEY)
    candidate = artifact_utils.get_single_instance(inputs[standard_component_specs.MODEL_KEY])
    return baseline.misfits(models[0], candidate, spec) if models else []


def _take_back(blessing: types.Artifact) -> None:
    """Turns a blessing, which TFX gives to any model with test rows, into a refusal, as TFX writes one."""
    blessed = os.path.join(blessing.uri, constants.BLESSED_FILE_NAME)
    if fileio.exists(blessed):
        fileio.remove(blessed)
    io_utils.write_string_file(os.path.join(blessing.uri, constants.NOT_BLESSED_FILE_NAME), "")
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, constants.NOT_BLESSED_VALUE)


def _metrics(uri: str) -> dict[str, float]:
    """The values over the whole test split of the metrics that have one, by name."""
    found, order = results.read(uri)[()].candidate, list(METRICS)

    def place(name: str) -> tuple[str, int]:
        label, _, metric = name.rpartition(".")
        return label, order.index(metric)

    return {name: found[name] for name in sorted(found, key=place)}
