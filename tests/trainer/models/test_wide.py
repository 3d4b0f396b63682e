from __future__ import annotations

import numpy as np
import tensorflow as tf

from trainer import models
from trainer.input_columns import InputColumn
from trainer.models.wide import Wide
from trainer.params import TrainParams


def test_logit(people) -> None:
    found = people.logits_of("wide", [0.5], *people.weights["wide"])
    np.testing.assert_allclose(found, np.add(people.logits["wide"], 0.5))


def test_all_weights_begin_at_zero(people) -> None:
    np.testing.assert_array_equal(people.build("wide")(people.features), [[0], [0]])


def test_a_list_counts_as_its_combiner_says(set_weights) -> None:
    """Weights 1, 2, 4; ids 0, 1, 2 in row 0, 2 in row 1, none in row 2: the mean is 7 / 3, 4, 0."""
    column = InputColumn("tags", "multivalent", ("wide",), size=3, table="tags", combiner="mean")
    wide = set_weights(Wide([column], units=1), [[1.0], [2.0], [4.0]])
    found = wide({"tags": tf.constant([[0, 1, 2], [2, -1, -1], [-1, -1, -1]], tf.int64)})
    np.testing.assert_allclose(found[:, 0], [7 / 3, 4, 0], rtol=1e-6)


def test_two_logits_have_weights_of_their_own(set_weights) -> None:
    """Ids' weights (1, -1) and (2, -2), the number's (10, 20): id 1 with 0.5: (2 + 5, -2 + 10)."""
    columns = [InputColumn("id", "categorical", ("wide",), size=2, table="id"), InputColumn("x", "numeric", ("wide",))]
    model = set_weights(
        models.build(columns, TrainParams(model="wide"), units=2),
        [0.0, 100.0], [[10.0, 20.0]], [[1.0, -1.0], [2.0, -2.0]],
    )  # fmt: skip
    np.testing.assert_allclose(model({"id": tf.constant([1], tf.int64), "x": tf.constant([0.5])}), [[7, 108]])
