from __future__ import annotations

import numpy as np


def test_logit(ratings) -> None:
    """The MLP sees the vectors of the pairs: relu of the sum of all 8 numbers, 11 and 4, output weight 2."""
    found = ratings.logits_of(
        "deepfm", [0.25], *ratings.weights["wide"], *ratings.weights["vectors"], 1.0, [0.0], [[2.0]],
        hidden_units=(1,), embedding_width=2,
    )  # fmt: skip
    parts = [ratings.logits["wide"], ratings.logits["pairs"], 2 * np.array(ratings.logits["sum"])]
    np.testing.assert_allclose(found, np.sum(parts, axis=0) + 0.25)


def test_pairs_and_mlp_share_their_embeddings(ratings) -> None:
    assert [table.shape for table in ratings.build("deepfm").embedding_tables] == [(4, 16)]
