"""Products of embeddings: FM, DeepFM and MF, worked by hand."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import tensorflow as tf

from schema.errors import SpecError
from trainer import models
from trainer.input_columns import InputColumn
from trainer.models.fm import pairwise
from trainer.params import TrainParams

BOTH = ("wide", "deep")
COLUMNS = (
    InputColumn("user", "categorical", BOTH, size=2, width=7, table="id", role="group"),
    InputColumn("item", "categorical", BOTH, size=2, width=7, table="id", role="item"),
    InputColumn("tags", "multivalent", ("deep",), size=2, width=7, table="tags"),
    InputColumn("price", "numeric", BOTH),
)
FEATURES = {
    "user": tf.constant([0, 1], tf.int64),
    "item": tf.constant([1, 1], tf.int64),
    "tags": tf.constant([[0, 1], [-1, -1]], tf.int64),
    "price": tf.constant([3.0, 0.0]),
}
# Vectors of ids 0 and 1: (1, 0), (0, 2); of tags: (1, 1), (1, -1), summed where both are there; of the price: (1, 1)
# times the price.
VECTORS = [[1.0, 0.0], [0.0, 2.0], [1.0, 1.0], [1.0, -1.0]]
OF_PRICE = [[1.0, 1.0]]
# Row 0: user (1, 0), item (0, 2), tags (2, 0), price (3, 3). Pairs: u·i 0, u·t 2, u·p 3, i·t 0, i·p 6, t·p 6: 17.
# Row 1: user (0, 2), item (0, 2), the others 0: 4.
PAIRS = [17.0, 4.0]
# Wide, over user, item, price: weights 10, 20 (user), 30, 40 (item), 0.5 (price): row 0: 10 + 40 + 1.5, row 1: 60.
LINEAR = [51.5, 60.0]
LINEAR_WEIGHTS = ([[0.5]], [[10.0], [20.0], [30.0], [40.0]])


def logits(name: str, *weights: object, columns: tuple[InputColumn, ...] = COLUMNS, **params: object) -> np.ndarray:
    model = models.build(columns, TrainParams(model=name, embedding_width=2, dropout=0, **params))
    for variable, value in zip(model.trainable_variables, weights, strict=True):
        variable.assign(value)
    return model(FEATURES)[:, 0].numpy()


def test_pairwise_is_the_double_sum() -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 4, 3)).astype(np.float32)
    expected = [sum(row[i] @ row[j] for i, j in combinations(range(4), 2)) for row in vectors]
    np.testing.assert_allclose(pairwise(tf.constant(vectors))[:, 0], expected, rtol=1e-4, atol=1e-5)


def test_fm() -> None:
    found = logits("fm", [0.25], *LINEAR_WEIGHTS, OF_PRICE, VECTORS)
    np.testing.assert_allclose(found, np.add(LINEAR, PAIRS) + 0.25)


def test_deepfm() -> None:
    """The MLP sees the same vectors: relu of the sum of all 8 numbers: 1 + 2 + 2 + 6 = 11 and 4, output weight 2."""
    found = logits(
        "deepfm", [0.25], *LINEAR_WEIGHTS, OF_PRICE, VECTORS, np.ones((8, 1)), [0.0], [[2.0]], hidden_units=(1,)
    )
    np.testing.assert_allclose(found, np.add(LINEAR, PAIRS) + [22, 8] + 0.25)


def test_mf() -> None:
    """Biases and factors of user and item, which do not share them though they share a table elsewhere.

    Users' factors (1, 2), (3, 4), items' (5, 6), (7, 8). Row 0: 1 · 7 + 2 · 8 = 23, biases 10 + 40; row 1:
    3 · 7 + 4 · 8 = 53, biases 20 + 40.
    """
    factors = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]
    found = logits("mf", [0.25], LINEAR_WEIGHTS[1], factors)
    np.testing.assert_allclose(found, [23 + 50 + 0.25, 53 + 60 + 0.25])
    model = models.build(COLUMNS, TrainParams(model="mf"))
    assert [column.name for column in model.columns] == ["user", "item"]


@pytest.mark.parametrize("name", ["fm", "deepfm", "mf", "cooccurrence"])
def test_there_is_one_logit(name: str) -> None:
    with pytest.raises(SpecError, match=f"expected a model for a label with several outputs, received '{name}'"):
        models.build(COLUMNS, TrainParams(model=name), units=2)


def test_mf_needs_a_ranking() -> None:
    columns = [InputColumn("user", "categorical", BOTH, size=2, width=2, table="user")]
    with pytest.raises(SpecError, match=r"mf needs a 'ranking' .* received neither"):
        models.build(columns, TrainParams(model="mf"))


def test_numbers_as_vectors_in_the_deep_part() -> None:
    """`embed_numbers` gives each column a vector of the same width, numbers too: 4 columns of 2, summed by the MLP."""
    found = logits(
        "deep", [0.0], OF_PRICE, VECTORS, np.ones((8, 1)), [0.0], [[1.0]], hidden_units=(1,), embed_numbers=True
    )
    np.testing.assert_allclose(found, [11, 4])


def test_one_width_for_all_embeddings() -> None:
    """`embedding_width` replaces the columns' own; numbers stay numbers: 3 columns of 2, and the price."""
    found = logits("deep", [0.0], VECTORS, np.ones((7, 1)), [0.0], [[1.0]], hidden_units=(1,))
    # User (1, 0), item (0, 2), tags (2, 0), price 3; user (0, 2), item (0, 2).
    np.testing.assert_allclose(found, [1 + 2 + 2 + 3, 4])


def test_batch_norm() -> None:
    """Before the activation. Row sums are 8 and 4 as above: normalised by mean 6 and variance 4: 1 and -1; relu."""
    params = TrainParams(model="deep", embedding_width=2, hidden_units=(1,), batch_norm=True, dropout=0)
    model = models.build(COLUMNS, params)
    weights = [0.0], VECTORS, np.ones((7, 1)), [1.0], [0.0], [[1.0]]  # with γ = 1 and β = 0
    for variable, value in zip(model.trainable_variables, weights, strict=True):
        variable.assign(value)
    np.testing.assert_allclose(model(FEATURES, training=True)[:, 0], [1, 0], atol=1e-3)
    # What the training step saw is remembered: mean 0.9 · 0 + 0.1 · 6, variance 0.9 · 1 + 0.1 · 4.
    expected = (np.array([8, 4]) - 0.6) / np.sqrt(1.3 + 1e-3)
    np.testing.assert_allclose(model(FEATURES, training=False)[:, 0], expected, rtol=1e-5)
