from __future__ import annotations

import numpy as np


def test_logit_is_the_sum_of_the_parts(numbers) -> None:
    found = numbers.logits_of(
        "cross_deep", [0.5], *numbers.weights["matrix"], [[1.0, 2.0]], *numbers.weights["mlp"], [[10.0]],
        cross_layers=1, hidden_units=(1,),
    )  # fmt: skip
    np.testing.assert_allclose(found, np.add(numbers.logits["matrix"], numbers.logits["mlp"]) + 0.5)


def test_the_parts_share_no_embedding(people) -> None:
    assert [table.shape for table in people.build("cross_deep").embedding_tables] == [(2, 2), (2, 2)]
    assert [table.shape for table in people.build("dcn_v2").embedding_tables] == [(2, 2)]
