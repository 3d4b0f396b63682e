from __future__ import annotations

import keras
import numpy as np

from trainer import models
from trainer.params import TrainParams


def test_logit(people) -> None:
    found = people.logits_of("deep", [0.5], *people.weights["deep"], hidden_units=(2,))
    np.testing.assert_allclose(found, np.add(people.logits["deep"], 0.5))


def test_numbers_as_vectors(ratings) -> None:
    """`embed_numbers` gives each column a vector of the same width, numbers too: 4 columns of 2, summed by the MLP."""
    found = ratings.logits_of(
        "deep", [0.0], *ratings.weights["vectors"], 1.0, [0.0], [[1.0]],
        hidden_units=(1,), embedding_width=2, embed_numbers=True,
    )  # fmt: skip
    np.testing.assert_allclose(found, ratings.logits["sum"])


def test_one_width_for_all_embeddings(ratings) -> None:
    """`embedding_width` replaces the columns' own; numbers stay numbers: 3 columns of 2, and the price.

    User (1, 0), item (0, 2), tags (2, 0), price 3; user (0, 2), item (0, 2).
    """
    _, embeddings = ratings.weights["vectors"]
    found = ratings.logits_of(
        "deep", [0.0], embeddings, np.ones((7, 1)), [0.0], [[1.0]], hidden_units=(1,), embedding_width=2
    )
    np.testing.assert_allclose(found, [1 + 2 + 2 + 3, 4])


def test_two_logits_have_weights_of_their_own(people) -> None:
    keras.utils.set_random_seed(1)
    model = models.build(people.columns, TrainParams(model="deep", hidden_units=(4,)), units=2)
    found = model(people.features).numpy()
    assert found.shape == (2, 2)
    assert (found[:, 0] != found[:, 1]).all()
