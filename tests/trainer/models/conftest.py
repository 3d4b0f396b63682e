"""Examples of two rows that the tests of models share, and the results of models' parts, worked out by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer import models
from trainer.input_columns import InputColumn
from trainer.params import TrainParams

BOTH = ("wide", "deep")


@dataclass(frozen=True)
class Worked:
    """Columns, a batch of two rows, and of parts of models their weights and what they add to each row's logit."""

    columns: tuple[InputColumn, ...]
    features: Mapping[str, tf.Tensor]
    weights: Mapping[str, tuple[object, ...]]
    """In the order of the part's trainable variables."""
    logits: Mapping[str, list[float]]

    def build(self, model: str, *weights: object, **params: object) -> keras.layers.Layer:
        """A model without dropout, with these weights if any are given: the bias first, then part by part."""
        made = models.build(self.columns, TrainParams(model=model, **{"dropout": 0.0, **params}))
        return set_weights(made, *weights) if weights else made

    def logits_of(self, model: str, *weights: object, **params: object) -> np.ndarray:
        return self.build(model, *weights, **params)(self.features)[:, 0].numpy()


def set_weights(layer: keras.layers.Layer, *values: object) -> keras.layers.Layer:
    for variable, value in zip(layer.trainable_variables, values, strict=True):
        variable.assign(np.broadcast_to(value, variable.shape))
    return layer


@pytest.fixture(name="set_weights")
def _set_weights() -> Callable[..., keras.layers.Layer]:
    """Sets a layer's trainable variables, in their order, and gives the layer back."""
    return set_weights


@pytest.fixture(scope="session")
def people() -> Worked:
    """Wide: user's weights (1, 2), friend's (3, 4), the cross's (5, 6, 7), price's 0.1.

    Row 0: 1 + 4 + (5 + 7) + 0.1 · 10 = 18. Row 1: 2 + 4 + 0 + 0 = 6.

    Deep: embeddings of id 0 (1, 0) and 1 (0, 1), one hidden layer of 2 with relu. a⁽⁰⁾ of row 0 (user, friend, age):
    (1, 0, 0, 1, 2), of row 1: (0, 1, 0, 1, -1). W's columns (1, 1, 1, 1, 1) and (0, -1, 0, -1, 0), b = (0, 1.5):
    row 0: relu(4, 0.5), row 1: relu(1, -0.5) = (1, 0). Output weights (1, 2): row 0: 4 + 1 = 5, row 1: 1.
    """
    return Worked(
        columns=(
            InputColumn("user", "categorical", BOTH, size=2, width=2, table="id"),
            InputColumn("friend", "categorical", BOTH, size=2, width=2, table="id"),
            InputColumn("age", "numeric", ("deep",)),
            InputColumn("price", "numeric", ("wide",)),
            InputColumn("user_x_tag", "multivalent", ("wide",), size=3, table="user_x_tag"),
        ),
        features={
            "user": tf.constant([0, 1], tf.int64),
            "friend": tf.constant([1, 1], tf.int64),
            "age": tf.constant([2.0, -1.0]),
            "price": tf.constant([10.0, 0.0]),
            "user_x_tag": tf.constant([[0, 2], [-1, -1]], tf.int64),
        },
        weights={
            "wide": ([[0.1]], [[1.0], [2.0], [3.0], [4.0], [5.0], [6.0], [7.0]]),
            "deep": (
                [[1.0, 0.0], [0.0, 1.0]],
                [[1.0, 0.0], [1.0, -1.0], [1.0, 0.0], [1.0, -1.0], [1.0, 0.0]],
                [0.0, 1.5],
                [[1.0, 2.0]],
            ),
        },
        logits={"wide": [18.0, 6.0], "deep": [5.0, 1.0]},
    )


@pytest.fixture(scope="session")
def ratings() -> Worked:
    """Vectors of width 2: of ids 0 and 1: (1, 0), (0, 2); of tags: (1, 1), (1, -1), summed where both are there; of
    the price: (1, 1) times the price.

    Row 0: user (1, 0), item (0, 2), tags (2, 0), price (3, 3). Pairs: u·i 0, u·t 2, u·p 3, i·t 0, i·p 6, t·p 6: 17.
    Row 1: user (0, 2), item (0, 2), the others 0: 4.

    Wide, over user, item, price: weights 10, 20 (user), 30, 40 (item), 0.5 (price): row 0: 10 + 40 + 1.5, row 1: 60.

    The sum of all 8 numbers of the vectors: 1 + 2 + 2 + 6 = 11 and 4.
    """
    return Worked(
        columns=(
            InputColumn("user", "categorical", BOTH, size=2, width=7, table="id", role="group"),
            InputColumn("item", "categorical", BOTH, size=2, width=7, table="id", role="item"),
            InputColumn("tags", "multivalent", ("deep",), size=2, width=7, table="tags"),
            InputColumn("price", "numeric", BOTH),
        ),
        features={
            "user": tf.constant([0, 1], tf.int64),
            "item": tf.constant([1, 1], tf.int64),
            "tags": tf.constant([[0, 1], [-1, -1]], tf.int64),
            "price": tf.constant([3.0, 0.0]),
        },
        weights={
            "wide": ([[0.5]], [[10.0], [20.0], [30.0], [40.0]]),
            "vectors": ([[1.0, 1.0]], [[1.0, 0.0], [0.0, 2.0], [1.0, 1.0], [1.0, -1.0]]),
        },
        logits={"wide": [51.5, 60.0], "pairs": [17.0, 4.0], "sum": [11.0, 4.0]},
    )


@pytest.fixture(scope="session")
def numbers() -> Worked:
    """x₀ = (1, 2) and (0, -1).

    Vector cross, w = (3, 4), b = (0, 1). Row 0: xᵀw = 11, x₀ · 11 = (11, 22), + b + x = (12, 25). Row 1: xᵀw = -4,
    x₀ · -4 = (0, 4), + b + x = (0, 4). Matrix cross with the same vector as each row of W, b = 0: (12, 24), (0, 3).

    Output weights (1, 2): 12 + 50 = 62, 0 + 8 = 8, and with the matrix 12 + 48 = 60, 0 + 6 = 6.

    MLP: relu(x - y + 3): row 0: 2, row 1: 4. Output weight 10: 20, 40.
    """
    return Worked(
        columns=(InputColumn("x", "numeric", ("deep",)), InputColumn("y", "numeric", ("deep",))),
        features={"x": tf.constant([1.0, 0.0]), "y": tf.constant([2.0, -1.0])},
        weights={
            "vector": ([[3.0], [4.0]], [0.0, 1.0]),
            "matrix": ([[3.0, 3.0], [4.0, 4.0]], [0.0, 0.0]),
            "mlp": ([[1.0], [-1.0]], [3.0]),
        },
        logits={"vector": [62.0, 8.0], "matrix": [60.0, 6.0], "mlp": [20.0, 40.0]},
    )


@pytest.fixture(scope="session")
def x0() -> tf.Tensor:
    """The numbers' batch, [2, 2]."""
    return tf.constant([[1.0, 2.0], [0.0, -1.0]])
