"""Judges the model on the test split, and keeps the verdict where it can be found without TFMA."""

from __future__ import annotations

import json
import math
from typing import Any

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2
from tfx import types
from tfx.components.evaluator import component, executor
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import Channel, artifact_utils, component_spec, standard_artifacts, standard_component_specs
from tfx.utils import json_utils

from components import evaluated_rows
from components.metrics import METRICS, METRICS_PROPERTY, REFUSALS_PROPERTY


class _Spec(standard_component_specs.EvaluatorSpec):  # type: ignore[misc]
    PARAMETERS = {  # noqa: RUF012 (TFX's attribute)
        **standard_component_specs.EvaluatorSpec.PARAMETERS,
        "code": component_spec.ExecutionParameter(type=str),
    }


class Executor(executor.Executor):  # type: ignore[misc]
    def Do(  # noqa: N802 (TFX's name)
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Evaluates and validates as TFX does; leaves rows, metrics and reasons with the evaluation."""
        evaluation = artifact_utils.get_single_instance(output_dict[standard_component_specs.EVALUATION_KEY])
        with evaluated_rows.kept_in(evaluation.uri):
            super().Do(input_dict, output_dict, exec_properties)
        evaluation.set_string_custom_property(METRICS_PROPERTY, json.dumps(_metrics(evaluation.uri)))
        evaluation.set_string_custom_property(REFUSALS_PROPERTY, json.dumps(_refusals(evaluation.uri)))


class Evaluator(component.Evaluator):  # type: ignore[misc]
    """Runs TFMA with our metrics.

    Args:
        examples: raw, with the split that `split` names.
        model: what to judge.
        baseline_model: the model to compare with; no model is fine.
        schema: of the examples.
        eval_config: see `components.thresholds.eval_config`.
        split: judged on.
        code: version of the metrics' code; another one evaluates again.
    """

    SPEC_CLASS = _Spec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        baseline_model: types.BaseChannel,
        schema: types.BaseChannel,
        eval_config: config_pb2.EvalConfig,
        split: str,
        code: str,
    ) -> None:
        spec = _Spec(
            examples=examples,
            model=model,
            baseline_model=baseline_model,
            schema=schema,
            eval_config=eval_config,
            example_splits=json_utils.dumps([split]),
            module_path="components.extracts",
            code=code,
            evaluation=Channel(type=standard_artifacts.ModelEvaluation),
            blessing=Channel(type=standard_artifacts.ModelBlessing),
        )
        base_beam_component.BaseBeamComponent.__init__(self, spec=spec)


def _metrics(uri: str) -> dict[str, float]:
    """Metric name -> value over the whole test split; without those that are NaN."""
    by_slice = tfma.load_eval_result(uri).slicing_metrics
    overall = next(outputs for key, outputs in by_slice if not key)
    values = {
        name: value["doubleValue"]
        for sub_keys in overall.values()
        for metrics in sub_keys.values()
        for name, value in metrics.items()
        if "doubleValue" in value
    }
    order = list(METRICS)
    ours = [name for name in values if name.rpartition(".")[2] in METRICS and not math.isnan(values[name])]
    return {
        name: values[name]
        for name in sorted(ours, key=lambda name: (name.rpartition(".")[0], order.index(name.rpartition(".")[2])))
    }


def _refusals(uri: str) -> list[str]:
    """Why the model of an evaluation artifact was not blessed, a line each; empty for a blessed one."""
    result = tfma.load_validation_result(uri)
    reasons = []
    for by_slice in result.metric_validations_per_slice:
        for failure in by_slice.failures:
            name = failure.metric_key.name
            threshold = failure.metric_threshold
            value = failure.metric_value.double_value.value
            if failure.metric_key.is_diff:
                allowed = abs(threshold.change_threshold.absolute.value)
                reasons.append(
                    f"{name}: expected at most {allowed:g} worse than the last blessed model, received {value:+.4f}"
                )
            else:
                bounds = threshold.value_threshold
                low = f"at least {bounds.lower_bound.value:g}" if bounds.HasField("lower_bound") else ""
                high = f"at most {bounds.upper_bound.value:g}" if bounds.HasField("upper_bound") else ""
                reasons.append(f"{name}: expected {' and '.join(filter(None, [low, high]))}, received {value:.4f}")
    return reasons
