"""TFX's Tuner with the search of `trainer.tune`, and access to its outcome."""

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
"""The file that TFX's executor writes."""


def tuner(
    examples: types.BaseChannel, transform_graph: types.BaseChannel, custom_config: Mapping[str, str]
) -> component.Tuner:
    """A Tuner that runs `trainer.tune.tuner_fn`.

    Args:
        examples: the transformed examples, with the splits train and eval.
        transform_graph: the transform graph of the examples.
        custom_config: the configuration, see `trainer.tune.tuner_fn`.
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
    """The values that the search has chosen, by dotted key of `TrainParams`."""
    with open(os.path.join(hyperparameters.uri, _BEST_FILE), encoding="utf-8") as file:
        return chosen(json.loads(file.read())["values"])
