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
from trainer.input_columns import ids_of, input_columns
from trainer.models.joint import Joint
from trainer.params import TrainParams
from trainer.task import HISTORY_FILE
from trainer.warm_start import EarlierModel


def history(model: str) -> Mapping[str, Any]:
    """Reads the history of a training, its parameters and epochs, from the model artifact's folder."""
    with tf.io.gfile.GFile(os.path.join(model, HISTORY_FILE)) as file:
        content: Mapping[str, Any] = json.loads(file.read())
    return content


def restored(
    model: str, serving_model_dir: str, spec: FeatureSpec, transform_output: tft.TFTransformOutput
) -> Joint | None:
    """Builds a model and loads its weights; returns None for a counted model.

    Args:
        model: the model artifact's folder.
        serving_model_dir: the SavedModel's folder in the artifact.
        spec: the resolved spec of the model's dataset.
        transform_output: the transform graph of the model's training data.
    """
    params = TrainParams.model_validate(history(model)["params"])
    earlier = EarlierModel(serving_model_dir)
    ids = ids_of(spec, transform_output)
    built = models.build(input_columns(spec, ids, earlier.widths), params, heads.units_of(spec))
    if built.is_counted:
        return None
    earlier.start(built, ids)
    return built
