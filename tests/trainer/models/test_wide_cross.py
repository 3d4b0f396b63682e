from __future__ import annotations

from dataclasses import replace

import numpy as np
import tensorflow as tf

from trainer.input_columns import InputColumn


def test_logit_is_the_sum_of_the_parts(numbers) -> None:
    """Ids 0 and 2 have weights 100 and 300 in the wide part."""
    with_ids = replace(
        numbers,
        columns=(*numbers.columns, InputColumn("id", "categorical", ("wide",), size=3, table="id")),
        features={**numbers.features, "id": tf.constant([0, 2], tf.int64)},
    )
    found = with_ids.logits_of(
        "wide_cross", [0.5], [[100.0], [200.0], [300.0]], *numbers.weights["matrix"], [[1.0, 2.0]], cross_layers=1
    )
    np.testing.assert_allclose(found, np.add(numbers.logits["matrix"], [100, 300]) + 0.5)
