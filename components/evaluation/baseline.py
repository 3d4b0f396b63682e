"""Checks whether the last blessed model can be evaluated on the rows that a candidate is judged on."""

from __future__ import annotations

import json
import os

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tfx import types
from tfx.utils import path_utils

from components.properties import splits_of
from components.trainer import COLUMNS_PROPERTY
from schema.answers import JUDGED_BY, of_other_label
from schema.feature_spec import FeatureSpec
from schema.split_record import overlap

_Shape = tuple[int, ...]


def misfits(baseline: types.Artifact, candidate: types.Artifact, spec: FeatureSpec) -> list[str]:
    """The reasons why an earlier model cannot be compared with a candidate; empty if it can.

    Args:
        baseline: the earlier model.
        candidate: the model that was trained on the current dataset.
        spec: the resolved spec of the current dataset.

    Returns:
        The reasons, a clause each: columns that the earlier model reads and that are gone or of another type, answers
        that the earlier model does not give, and test rows that it may have been trained on.
    """
    then = json.loads(baseline.get_string_custom_property(COLUMNS_PROPERTY) or "{}")
    problems = []
    for name, kind in then.items():
        if name not in spec.columns:
            problems.append(f"it reads {name!r} ({kind}), which the data no longer has")
        elif spec.columns[name] != kind:
            problems.append(f"it reads {name!r} as {kind}, which is now {spec.columns[name]}")
    needed = [JUDGED_BY[spec.label.kind], *map(of_other_label, spec.other_labels)]
    answers, answers_now = _answers(baseline), _answers(candidate)
    for name in needed:
        if name not in answers:
            problems.append(f"it does not answer with {name!r}, but with {', '.join(sorted(answers))}")
        elif answers[name] != answers_now[name]:
            problems.append(f"its {name!r} are {_counted(answers[name])}, now {_counted(answers_now[name])}")
    if overlapping := overlap(splits_of(baseline), splits_of(candidate)):
        problems.append(f"it may have been trained on rows of the test split: {overlapping}")
    return problems


def _answers(model: types.Artifact) -> dict[str, _Shape]:
    """The shapes of a model's answers for one row, by name; read without loading the model."""
    path = os.path.join(path_utils.serving_model_path(model.uri), tf.saved_model.SAVED_MODEL_FILENAME_PB)
    with tf.io.gfile.GFile(path, "rb") as file:
        graph = saved_model_pb2.SavedModel.FromString(file.read()).meta_graphs[0]
    outputs = graph.signature_def["serving_default"].outputs
    return {name: tuple(size.size for size in info.tensor_shape.dim[1:]) for name, info in outputs.items()}


def _counted(shape: _Shape) -> str:
    return " x ".join(map(str, shape)) or "1"
