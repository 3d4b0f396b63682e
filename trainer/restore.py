"""Restores a trained model with its parts, which a SavedModel does not have."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from schema.feature_spec import FeatureSpec
from trainer import heads, models
from trainer.heads import Head
from trainer.input_columns import ids_of, input_columns
from trainer.models.joint import Joint
from trainer.params import TrainParams
from trainer.task import HISTORY_FILE, SPEC_FILE
from trainer.warm_start import EarlierModel


def history(model: str) -> Mapping[str, Any]:
    """Reads the history of a training, its parameters and epochs, from the model artifact's folder."""
    with tf.io.gfile.GFile(os.path.join(model, HISTORY_FILE)) as file:
        content: Mapping[str, Any] = json.loads(file.read())
    return content


def spec_of(model: str) -> FeatureSpec | None:
    """The resolved spec of a model artifact's folder; None for models of earlier versions of Rankline."""
    path = os.path.join(model, SPEC_FILE)
    if not tf.io.gfile.exists(path):
        return None
    with tf.io.gfile.GFile(path) as file:
        return FeatureSpec.model_validate_json(file.read())


def restored(model: str, serving_model_dir: str, spec: FeatureSpec, transform_output: tft.TFTransformOutput) -> Joint:
    """Builds a model and loads its weights.

    Args:
        model: the model artifact's folder.
        serving_model_dir: the SavedModel's folder in the artifact.
        spec: the resolved spec of the model's dataset.
        transform_output: the transform graph of the model's training data.
    """
    params = TrainParams.model_validate(history(model)["params"])
    earlier = EarlierModel(serving_model_dir)
    columns = input_columns(spec, ids_of(spec, transform_output), earlier.widths)
    built = models.build(columns, params, heads.units_of(spec))
    earlier.copy_to(built)
    return built


def restored_head(model: str, spec: FeatureSpec) -> Head:
    """Builds a model's head.

    Args:
        model: the model artifact's folder.
        spec: the resolved spec of the model's dataset.
    """
    noted = history(model)
    return heads.restored(spec, TrainParams.model_validate(noted["params"]), noted["head"])
