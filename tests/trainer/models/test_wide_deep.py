from __future__ import annotations

import numpy as np
import tensorflow as tf


def test_logit_is_the_sum_of_the_parts(people) -> None:
    found = people.logits_of("wide_deep", [0.5], *people.weights["wide"], *people.weights["deep"], hidden_units=(2,))
    np.testing.assert_allclose(found, np.add(people.logits["wide"], people.logits["deep"]) + 0.5)


def test_the_parts_are_trained_by_one_loss(people) -> None:
    """∂loss/∂logit reaches both parts: at the bias, the wide and the deep weights alike."""
    model = people.build("wide_deep", [0.5], *people.weights["wide"], *people.weights["deep"], hidden_units=(2,))
    with tf.GradientTape() as tape:
        logit = model(people.features)[:, 0]
        loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits([0.0, 0.0], logit))
    bias, price, _, _, _, _, output = tape.gradient(loss, model.trainable_variables)
    # σ(23.5) = 1 and σ(7.5) = 0.999447, each over 2 rows; price is (10, 0); the hidden layer (4, 0.5) and (1, 0).
    np.testing.assert_allclose(bias, [0.999724], rtol=1e-5)
    np.testing.assert_allclose(price, [[5.0]], rtol=1e-5)
    np.testing.assert_allclose(output, [[2.499724, 0.25]], rtol=1e-5)
