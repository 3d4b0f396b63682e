"""TFX's Trainer with one more input: raw examples, of which the model's warm-up requests are made.

What is trained on is transformed, so it cannot show what a request looks like. TFX's way, an InfraValidator that
returns a second copy of the model with warm-up requests in it, would leave a pushed model that is not the evaluated
artifact.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from tfx import types
from tfx.components.trainer import component, executor
from tfx.dsl.components.base import base_component, executor_spec
from tfx.proto import trainer_pb2
from tfx.types import Channel, artifact_utils, component_spec, standard_artifacts, standard_component_specs
from tfx.utils import json_utils

from components.properties import SPLITS_PROPERTY
from schema.feature_spec import FeatureSpec
from schema.latest import CONTEXTS_FILE, ITEMS_FILE
from trainer import worker
from trainer.params import TrainParams

COLUMNS_PROPERTY = "columns"
"""Custom property of a model, as JSON: raw column that it reads -> type."""
TRANSFORM_GRAPH_PROPERTY = "transform_graph"
"""Custom property of a model: where the transform graph lies that its training data went through."""
EXAMPLES_PROPERTY = "examples"
"""Custom property of a model: where the transformed examples lie that it was trained on."""
SPAN_PROPERTY = "span"
"""Custom property of a model: number of the last span that it was trained on, 0 for data without spans."""

_RAW_EXAMPLES = "raw_examples"
_WARMUP_SPLIT = "eval"


class _Spec(standard_component_specs.TrainerSpec):  # type: ignore[misc]
    INPUTS = {  # noqa: RUF012 (TFX's attribute)
        **standard_component_specs.TrainerSpec.INPUTS,
        _RAW_EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }


class Executor(executor.GenericExecutor):  # type: ignore[misc]
    def Do(  # noqa: N802 (TFX's name)
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Trains, and notes with the model what it reads."""
        config = json_utils.loads(exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY])
        led = TrainParams.model_validate_json(config["params"]).distribution == "multi_worker"
        if led:
            worker.announce(self._GetFnArgs(input_dict, output_dict, exec_properties))
        super().Do(input_dict, output_dict, exec_properties)
        if led:
            worker.withdraw(config["work_dir"])
        columns = FeatureSpec.model_validate_json(config["spec"]).input_columns
        model = artifact_utils.get_single_instance(output_dict[standard_component_specs.MODEL_KEY])
        model.set_string_custom_property(COLUMNS_PROPERTY, json.dumps(columns))
        examples = artifact_utils.get_single_instance(input_dict[standard_component_specs.EXAMPLES_KEY])
        model.set_string_custom_property(EXAMPLES_PROPERTY, examples.uri)
        graph = artifact_utils.get_single_uri(input_dict[standard_component_specs.TRANSFORM_GRAPH_KEY])
        model.set_string_custom_property(TRANSFORM_GRAPH_PROPERTY, graph)
        raw_examples = artifact_utils.get_single_instance(input_dict[_RAW_EXAMPLES])
        model.set_int_custom_property(SPAN_PROPERTY, raw_examples.span)
        model.set_string_custom_property(SPLITS_PROPERTY, raw_examples.get_string_custom_property(SPLITS_PROPERTY))

    def _GetFnArgs(  # noqa: N802 (TFX's name)
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> Any:
        fn_args = super()._GetFnArgs(input_dict, output_dict, exec_properties)
        folder = artifact_utils.get_split_uri(input_dict[_RAW_EXAMPLES], _WARMUP_SPLIT)
        fn_args.custom_config["warmup_examples"] = os.path.join(folder, "*")
        examples = artifact_utils.get_single_uri(input_dict[_RAW_EXAMPLES])
        fn_args.custom_config["items"] = os.path.join(examples, ITEMS_FILE)
        fn_args.custom_config["contexts"] = os.path.join(examples, CONTEXTS_FILE)
        return fn_args


class Trainer(component.Trainer):  # type: ignore[misc]
    """Runs `trainer.task.run_fn`.

    Args:
        examples: transformed, with the splits train and eval.
        raw_examples: what they were made of.
        transform_graph: how they were made.
        custom_config: see `trainer.task.run_fn`, without `warmup_examples`.
        base_model: what the model begins with; no channel, or one without a model, is fine.
        hyperparameters: a search's, which go before those in `custom_config`; none is fine.
    """

    SPEC_CLASS = _Spec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        raw_examples: types.BaseChannel,
        transform_graph: types.BaseChannel,
        custom_config: Mapping[str, str],
        base_model: types.BaseChannel | None = None,
        hyperparameters: types.BaseChannel | None = None,
    ) -> None:
        spec = _Spec(
            examples=examples,
            raw_examples=raw_examples,
            transform_graph=transform_graph,
            run_fn="trainer.task.run_fn",
            train_args=trainer_pb2.TrainArgs(splits=["train"]),
            eval_args=trainer_pb2.EvalArgs(splits=["eval"]),
            custom_config=json_utils.dumps(dict(custom_config)),
            base_model=base_model,
            hyperparameters=hyperparameters,
            model=Channel(type=standard_artifacts.Model),
            model_run=Channel(type=standard_artifacts.ModelRun),
        )
        base_component.BaseComponent.__init__(self, spec=spec)
