"""Each column's contribution to a logit, for models whose weights are known, worked out by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import tensorflow as tf

from trainer import models
from trainer.input_columns import InputColumn
from trainer.models.attribution import complete_gradients, integrated_gradients, mean_vectors, shares
from trainer.models.wide import Wide

ORIGIN = {"deep": tf.zeros(5), "pairs": tf.zeros([4, 2])}


def by_column(share) -> dict[str, float]:
    return {term.column: term.contribution for term in share.terms}


def test_the_wide_part_is_the_sum_of_its_weights(people) -> None:
    model = people.build("wide", [0.5], *people.weights["wide"])
    (first,), (second,) = shares(model, people.features, {})
    assert [(term.column, term.id, term.weight, term.contribution) for term in first.terms] == [
        ("user", 0, 1, 1), ("friend", 1, 4, 4), ("user_x_tag", 0, 5, 5), ("user_x_tag", 2, 7, 7),
        ("price", None, pytest.approx(0.1), 1),
    ]  # fmt: skip
    assert (first.logit, first.baseline, first.gap, first.steps) == (18, 0, 0, 0)
    # An empty list adds nothing, and a number of 0 nothing but its weight's mention.
    assert by_column(second) == {"user": 2, "friend": 4, "price": 0}


def test_a_list_counts_as_its_combiner_says(set_weights) -> None:
    """Weights 1, 2, 4; a mean of three ids counts a third of each."""
    column = InputColumn("tags", "multivalent", ("wide",), size=3, table="tags", combiner="mean")
    wide = set_weights(Wide([column], units=1), [[1.0], [2.0], [4.0]])
    weights, added = wide.terms({"tags": tf.constant([[0, 1, 2], [2, -1, -1], [-1, -1, -1]], tf.int64)})["tags"]
    np.testing.assert_array_equal(weights[:, :, 0], [[1, 2, 4], [4, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(added[:, :, 0], [[1 / 3, 2 / 3, 4 / 3], [4, 0, 0], [0, 0, 0]], rtol=1e-6)


def test_a_perceptron(people) -> None:
    """From zeros on, row 0's hidden units are 4α and 1.5 - α, both above 0 all along: the model is linear there.

    The baseline's logit is 2 · 1.5 = 3. User adds 1, age 2, friend 1 · 1 - 2 · 1 = -1: 5 in all.
    """
    model = people.build("deep", [0.5], *people.weights["deep"], hidden_units=(2,))
    (first,), _ = shares(model, people.features, ORIGIN)
    assert by_column(first) == pytest.approx({"user": 1, "friend": -1, "age": 2}, abs=1e-6)
    assert (first.logit, first.baseline) == (5, 3)
    assert first.gap == pytest.approx(0, abs=1e-6)


def test_both_of_a_pair_get_half_of_their_product(ratings) -> None:
    """Row 0's pairs: u·i 0, u·t 2, u·p 3, i·t 0, i·p 6, t·p 6; so user 5 / 2, item 6 / 2, tags 8 / 2, price 15 / 2."""
    weights = (*ratings.weights["wide"], *ratings.weights["vectors"])
    model = ratings.build("fm", [0.25], *weights, embedding_width=2)
    (_, pairs), _ = shares(model, ratings.features, ORIGIN)
    assert by_column(pairs) == pytest.approx({"user": 2.5, "item": 3, "tags": 4, "price": 7.5}, rel=1e-6)
    assert pairs.steps == 16


def test_from_the_mean_of_the_rows(ratings) -> None:
    """Vectors of two rows: user (1, 0) and (0, 2), item (0, 2) twice, tags (2, 0) and none, price (3, 3) and none."""
    weights = (*ratings.weights["wide"], *ratings.weights["vectors"])
    model = ratings.build("fm", [0.25], *weights, embedding_width=2)
    single = [{name: values[row : row + 1] for name, values in ratings.features.items()} for row in (0, 1)]
    for batches in ([ratings.features], single):
        means = mean_vectors(model, batches)["pairs"]
        np.testing.assert_allclose(means, [[0.5, 1], [0, 2], [1, 0], [1.5, 1.5]])
    # Nothing moves the item, which is the same in both rows.
    for _, pairs in shares(model, ratings.features, {"pairs": means}):
        assert by_column(pairs)["item"] == 0
        assert pairs.baseline + sum(by_column(pairs).values()) == pytest.approx(pairs.logit, abs=1e-5)


def test_the_product_of_two_numbers() -> None:
    def product(points: tf.Tensor) -> tf.Tensor:
        return points[:, 0] * points[:, 1]

    origin, row = tf.constant([0.0, 0.0]), tf.constant([2.0, 3.0])
    np.testing.assert_allclose(integrated_gradients(product, row, origin, 1), [3, 3], rtol=1e-6)
    # From (1, 1): (2 - 1) ∫ 1 + 2α dα = 2, (3 - 1) ∫ 1 + α dα = 3; 6 - 1 in all.
    np.testing.assert_allclose(integrated_gradients(product, row, origin + 1, 1), [2, 3], rtol=1e-6)


def test_a_bend_takes_more_steps() -> None:
    """relu(x - 0.3) from 0 to 1 rises by 0.7, none of it before 0.3."""

    def bent(points: tf.Tensor) -> tf.Tensor:
        return tf.nn.relu(points[:, 0] - 0.3)

    few = integrated_gradients(bent, tf.constant([1.0]), tf.constant([0.0]), 16)
    assert abs(few.sum() - 0.7) > 1e-3
    gradients, steps = complete_gradients(bent, tf.constant([1.0]), tf.constant([0.0]), 0.7)
    assert steps > 16
    assert gradients.sum() == pytest.approx(0.7, abs=1e-3)


def test_of_what_cannot_be_completed_the_most_steps_are_taken() -> None:
    gradients, steps = complete_gradients(lambda points: points[:, 0], tf.constant([1.0]), tf.constant([0.0]), 2.0)
    assert (gradients.sum(), steps) == (pytest.approx(1), 1024)


@pytest.mark.parametrize("embed_numbers", [False, True])
@pytest.mark.parametrize("name", [name for name in models.names() if name != "cooccurrence"])
def test_the_shares_of_any_model_add_up(ratings, name, embed_numbers) -> None:
    model = ratings.build(name, hidden_units=(8, 4), embed_numbers=embed_numbers)
    dice = np.random.default_rng(5)
    for variable in model.trainable_variables:
        variable.assign(dice.normal(size=variable.shape, scale=0.5))
    found = shares(model, ratings.features, mean_vectors(model, [ratings.features]))
    logits = [sum(share.logit for share in row) + float(model.bias.numpy()[0]) for row in found]
    np.testing.assert_allclose(logits, model(ratings.features)[:, 0], rtol=1e-5, atol=1e-5)
    for share in (share for row in found for share in row):
        assert share.baseline + sum(term.contribution for term in share.terms) + share.gap == pytest.approx(share.logit)
        assert abs(share.gap) <= 2e-3 * max(1, abs(share.logit - share.baseline))
        seen = {column.name for part in model.parts if part.name == share.part for column in part.columns}
        assert {term.column for term in share.terms} <= seen
    for part in model.parts:
        if not isinstance(part, Wide):
            places = list(part.vectors.places.values())
            assert places[0].start == 0
            assert all(before.stop == after.start for before, after in pairwise(places))
            assert places[-1].stop == np.prod(part.vectors(ratings.features).shape[1:])
