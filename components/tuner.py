"""TFX's Tuner with our search, and its outcome where it can be found without reading files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from tfx import types
from tfx.components.tuner import component
from tfx.proto import trainer_pb2

from trainer.search_space import chosen

_BEST_FILE = "best_hyperparameters.txt"
"""Of TFX's executor."""


def tuner(
    examples: types.BaseChannel, transform_graph: types.BaseChannel, custom_config: Mapping[str, str]
) -> component.Tuner:
    """Runs `trainer.tune.tuner_fn`.

    Args:
        examples: transformed, with the splits train and eval.
        transform_graph: how they were made.
        custom_config: see there.
    """
    return component.Tuner(
        examples=examples,
        transform_graph=transform_graph,
        tuner_fn="trainer.tune.tuner_fn",
        train_args=trainer_pb2.TrainArgs(splits=["train"]),
        eval_args=trainer_pb2.EvalArgs(splits=["eval"]),
        custom_config=dict(custom_config),
    )


def best_of(hyperparameters: types.Artifact) -> dict[str, Any]:
    """What a search has chosen: dotted key of `TrainParams` -> value."""
    with open(os.path.join(hyperparameters.uri, _BEST_FILE), encoding="utf-8") as file:
        return chosen(json.loads(file.read())["values"])
