from __future__ import annotations

from itertools import combinations

import numpy as np
import tensorflow as tf

from trainer.models.fm import pairwise


def test_pairwise_is_the_double_sum() -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 4, 3)).astype(np.float32)
    expected = [sum(row[i] @ row[j] for i, j in combinations(range(4), 2)) for row in vectors]
    np.testing.assert_allclose(pairwise(tf.constant(vectors))[:, 0], expected, rtol=1e-4, atol=1e-5)


def test_logit(ratings) -> None:
    found = ratings.logits_of("fm", [0.25], *ratings.weights["wide"], *ratings.weights["vectors"], embedding_width=2)
    np.testing.assert_allclose(found, np.add(ratings.logits["wide"], ratings.logits["pairs"]) + 0.25)


def test_a_number_is_a_vector_times_it(ratings) -> None:
    """With only the price's vector, (2, 3) · 3, and tags', (1, 0) + (0, 4), where both are there: 3 (2 + 12) = 42."""
    found = ratings.logits_of(
        "fm", [0.0], 0.0, 0.0, [[2.0, 3.0]], [[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 4.0]], embedding_width=2
    )
    np.testing.assert_allclose(found, [42, 0])


def test_all_vectors_are_of_one_width(ratings) -> None:
    """Though the columns say 7."""
    assert [table.shape for table in ratings.build("fm").embedding_tables] == [(4, 16)]
    assert [table.shape for table in ratings.build("fm", embedding_width=5).embedding_tables] == [(4, 5)]
