"""A model of a ranking that knows its items and contexts, as Rankline exports it, with answers to work out by hand.

logit = quality of the book + 10 if Ann is asked about b1 + age / 2; probability = sigmoid(logit). The quality of b1 to
b4 is 1 to 4, and that of other books -1. A missing age counts as 0; the model knows that Ann is 2 and Bob 6 years old.
"""

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam

from schema.feature_spec import LABEL, FeatureSpec
from trainer import models
from trainer.export import ServedModel
from trainer.heads import Logistic
from trainer.input_columns import ids_of, input_columns
from trainer.item_table import ItemTable
from trainer.models.joint import Joint
from trainer.params import TrainParams
from trainer.preprocessing import preprocessing_fn

QUALITY = {"b1": 1.0, "b2": 2.0, "b3": 3.0, "b4": 4.0}
OTHERS = -1.0
TASTE, TASTE_WEIGHT = ("ann", "b1"), 10.0
PER_YEAR = 0.5
AGES = {"ann": 2.0, "bob": 6.0}

_SPEC = FeatureSpec.model_validate(
    {
        "label": "bought",
        "ranking": {"group": "user", "item": "book"},
        "features": {"user": {}, "age": {"type": "numeric", "scale": "none"}, "book": {}},
        "crosses": [{"columns": ["user", "book"], "hash_buckets": 1000}],
    }
).resolve({"bought": "float", "user": "string", "age": "float", "book": "string"})


def save(path: Path) -> None:
    """Writes the SavedModel."""
    with made(TrainParams(model="wide")) as (model, transform_output):
        _set_weights(model, transform_output.transform_features_layer())
        served(model, transform_output).save(str(path))


@contextlib.contextmanager
def made(params: TrainParams) -> Iterator[tuple[Joint, tft.TFTransformOutput]]:
    """A model of these columns with initial weights, and the transform graph, as long as the block lasts."""
    with tempfile.TemporaryDirectory() as folder:
        transform_output = _transform_output(folder)
        yield models.build(input_columns(_SPEC, ids_of(_SPEC, transform_output)), params), transform_output


def served(model: Joint, transform_output: tft.TFTransformOutput) -> ServedModel:
    """The model with the books and the people."""
    books = np.array(list(QUALITY), object)
    items = ItemTable({"book": books}, np.array([f"Book {book[1:]}" for book in QUALITY], object))
    contexts = {"user": np.array(list(AGES), object), "age": np.array(list(AGES.values()), np.float32)}
    return ServedModel(model, Logistic(), _SPEC, transform_output, items, contexts)


def _transform_output(folder: str) -> tft.TFTransformOutput:
    """The transform graph of rows in which Ann and Bob see all books."""
    rows = [{"user": user, "age": 30.0, "book": book, LABEL: 1.0} for user in AGES for book in QUALITY]
    types = {"user": tf.string, "age": tf.float32, "book": tf.string, LABEL: tf.float32}
    metadata = tft.DatasetMetadata.from_feature_spec(
        {name: tf.io.FixedLenFeature([], each) for name, each in types.items()}
    )
    transform = functools.partial(preprocessing_fn, custom_config={"spec": _SPEC.model_dump_json()})
    with tft_beam.Context(temp_dir=f"{folder}/beam"):
        graph = (rows, metadata) | tft_beam.AnalyzeDataset(transform)
        _ = graph | tft_beam.WriteTransformFn(f"{folder}/graph")
    return tft.TFTransformOutput(f"{folder}/graph")


def _set_weights(model: Joint, transform: Callable[[Mapping[str, tf.Tensor]], Mapping[str, tf.Tensor]]) -> None:
    weights = model.parts[0].embeddings[0]
    table = np.zeros(weights.table.shape, np.float32)

    def set_weight(column: str, user: str, book: str, weight: float) -> None:
        row = {"user": tf.constant([user]), "age": tf.constant([0.0]), "book": tf.constant([book])}
        table[weights.tables[column].start + int(transform(row)[column][0])] = weight

    for book, quality in {**QUALITY, "another": OTHERS}.items():
        set_weight("book", "ann", book, quality)
    set_weight("user_x_book", *TASTE, TASTE_WEIGHT)
    values = {"table": table, "numbers": [[PER_YEAR]]}
    for variable in model.trainable_variables:
        if variable.name in values:
            variable.assign(values[variable.name])
