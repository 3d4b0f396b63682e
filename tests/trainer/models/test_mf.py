from __future__ import annotations

import numpy as np


def test_logit(ratings) -> None:
    """Biases and factors of user and item, which do not share them though they share a table elsewhere.

    Users' factors (1, 2), (3, 4), items' (5, 6), (7, 8). Row 0: 1 · 7 + 2 · 8 = 23, biases 10 + 40; row 1:
    3 · 7 + 4 · 8 = 53, biases 20 + 40.
    """
    _, biases = ratings.weights["wide"]
    factors = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]
    found = ratings.logits_of("mf", [0.25], biases, factors, embedding_width=2)
    np.testing.assert_allclose(found, [23 + 50 + 0.25, 53 + 60 + 0.25])


def test_it_sees_user_and_item_alone(ratings) -> None:
    assert [column.name for column in ratings.build("mf").columns] == ["user", "item"]
