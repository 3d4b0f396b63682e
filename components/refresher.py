"""Takes newer items and contexts into a trained model, without training.

The component checks that the copy gives the same answers about rows as the trained model.
"""

import itertools
import os

import numpy as np
import tensorflow as tf
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import path_utils

from components.properties import REFRESHED_PROPERTY
from components.trainer import COLUMNS_PROPERTY, TRANSFORM_GRAPH_PROPERTY
from schema.errors import RanklineError, listing
from schema.feature_spec import FeatureSpec
from schema.latest import CONTEXTS_FILE, ITEMS_FILE
from trainer import item_table, known_contexts, restore
from trainer.refresh import refresh

_ROWS = 1000
"""The rows of the test split about which both models are asked."""
_TRAIN = "`rankline run` trains a model that can be refreshed"


@component  # type: ignore[untyped-decorator]
def Refresher(  # noqa: N802 (a TFX component)
    model: InputArtifact[standard_artifacts.Model],
    examples: InputArtifact[standard_artifacts.Examples],
    refreshed: OutputArtifact[standard_artifacts.Model],
    spec: Parameter[str],
    served_items: Parameter[int],
    code: Parameter[str],
) -> None:
    """Exports a trained model with the items and contexts of newer examples.

    Args:
        model: the trained model.
        examples: the raw examples, with their latest items and contexts.
        refreshed: receives the copy.
        spec: the resolved feature spec of the examples, as JSON.
        served_items: the largest number of items that the copy may know.
        code: the version of this component's code; a change leads to a new copy.

    Raises:
        RanklineError: the model was trained on other columns or by an earlier version of Rankline, there are no items
            or too many, or the copy answers otherwise.
    """
    del code  # part of the cache key only
    trained_with = _checked_spec(model.uri, FeatureSpec.model_validate_json(spec))
    transform_graph = model.get_string_custom_property(TRANSFORM_GRAPH_PROPERTY)
    if not tf.io.gfile.exists(transform_graph):
        raise RanklineError(f"refresh: expected the transform graph {transform_graph}, received none; {_TRAIN}")
    items = item_table.read(os.path.join(examples.uri, ITEMS_FILE), trained_with)
    if items is None or len(items) > served_items:
        raise RanklineError(
            f"refresh: expected 1 to {served_items:,} items (served_items), received {len(items) if items else 0:,}"
        )
    saved_model, copy = (path_utils.serving_model_dir(folder) for folder in (model.uri, refreshed.uri))
    refresh(
        model.uri,
        saved_model,
        transform_graph,
        trained_with,
        items,
        known_contexts.read(os.path.join(examples.uri, CONTEXTS_FILE), trained_with),
        os.path.join(artifact_utils.get_split_uri([examples], "eval"), "*"),
        copy,
    )
    _compare(saved_model, copy, artifact_utils.get_split_uri([examples], "test"))
    refreshed.set_string_custom_property(REFRESHED_PROPERTY, restore.history(model.uri)["params"]["model"])
    for name in (COLUMNS_PROPERTY, TRANSFORM_GRAPH_PROPERTY):
        refreshed.set_string_custom_property(name, model.get_string_custom_property(name))


def _checked_spec(model: str, found: FeatureSpec) -> FeatureSpec:
    """The spec that the model was trained with, if the examples have its columns."""
    spec = restore.spec_of(model)
    if spec is None:
        raise RanklineError(
            f"refresh: expected a model that this version of Rankline has trained, in {model}; {_TRAIN}"
        )
    differ = [
        name
        for name in spec.columns.keys() | found.columns.keys()
        if spec.columns.get(name) != found.columns.get(name) or spec.features.get(name) != found.features.get(name)
    ]
    differ += ["crosses"] if spec.crosses != found.crosses else []
    differ += ["ranking"] if spec.ranking != found.ranking else []
    if differ:
        raise RanklineError(
            f"refresh: expected the columns and features that the model was trained with, received others of "
            f"{listing(sorted(differ))}; {_TRAIN}"
        )
    return spec


def _compare(saved_model: str, copy: str, split: str) -> None:
    """Checks that both models answer alike."""
    records = tf.data.TFRecordDataset(tf.io.gfile.glob(os.path.join(split, "*")), compression_type="GZIP")
    rows = tf.constant(list(itertools.islice(records.as_numpy_iterator(), _ROWS)), tf.string)
    expected, received = (
        tf.saved_model.load(path).signatures["serving_default"](examples=rows) for path in (saved_model, copy)
    )
    for name, values in expected.items():
        if not np.array_equal(values.numpy(), received[name].numpy(), equal_nan=True):
            raise RanklineError(f"refresh: expected the trained model's answers, received others of {name}")
