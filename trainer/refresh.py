"""Newer items and contexts in a copy of a trained model: the same weights and the same transform graph."""

from __future__ import annotations

import json
import os

import tensorflow as tf
import tensorflow_transform as tft

from schema.feature_spec import FeatureSpec
from trainer import restore, seen, warm_start, warmup
from trainer.export import ServedModel
from trainer.item_table import ItemTable
from trainer.known_contexts import ContextTable
from trainer.task import HISTORY_FILE, SPEC_FILE


def refresh(
    model: str,
    saved_model: str,
    transform_graph: str,
    spec: FeatureSpec,
    items: ItemTable | None,
    contexts: ContextTable | None,
    warmup_examples: str,
    refreshed: str,
) -> None:
    """Exports a trained model again.

    Args:
        model: the folder of the model artifact.
        saved_model: the SavedModel's folder in it.
        transform_graph: the folder of the transform graph of the model's training data.
        spec: the resolved spec that the model was trained with.
        items: the items that the new model knows.
        contexts: the contexts that the new model knows.
        warmup_examples: a pattern of files with raw examples for warm-up requests.
        refreshed: the new SavedModel's folder. The files beside the SavedModel are copied.
    """
    transform_output = tft.TFTransformOutput(transform_graph)
    joint = restore.restored(model, saved_model, spec, transform_output)
    served = ServedModel(joint, restore.restored_head(model, spec), spec, transform_output, items, contexts)
    signatures = served.save(refreshed)
    warmup.write(refreshed, spec, signatures, [warmup_examples])
    beside = os.path.dirname(refreshed)
    for name in (SPEC_FILE, seen.FILE, warm_start.FILE):
        tf.io.gfile.copy(os.path.join(model, name), os.path.join(beside, name))
    with tf.io.gfile.GFile(os.path.join(beside, HISTORY_FILE), "w") as file:
        file.write(json.dumps({**restore.history(model), "known": served.known()}, indent=2))
