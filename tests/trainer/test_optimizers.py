"""Steps of each optimizer, worked out by hand, and checked against Keras where the rules are the same."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer import optimizers

TABLE = [[1.0, -1.0], [0.5, 0.25], [2.0, 0.0]]


def slices(values: list[list[float]], rows: list[int]) -> tf.IndexedSlices:
    return tf.IndexedSlices(tf.constant(values), tf.constant(rows, tf.int64), tf.constant([3, 2], tf.int64))


def after(optimizer: keras.optimizers.Optimizer, *gradients: tf.Tensor | tf.IndexedSlices) -> np.ndarray:
    """The table after a step with each gradient."""
    variable = keras.Variable(TABLE, name="table")
    for gradient in gradients:
        optimizer.apply([gradient], [variable])
    return variable.numpy()


def test_ftrl_by_hand() -> None:
    # α = 0.5, λ1 = 0.1, λ2 = 0.25, n₀ = 1, so that √n₀ / α + 2 λ2 = 2.5.
    # Row 0, column 0: w = 1, so z = -(0.1 + 2.5) = -2.6. g = 2: n = 1 + 4 = 5;
    # z = -2.6 + 2 - (√5 - √1) / 0.5 · 1 = -3.072136
    # |z| > λ1: w = -(z + 0.1) / (√5 / 0.5 + 2 · 0.25) = 2.972136 / 4.972136 = 0.597758
    # Column 1: w = -1, g = 0: n = 1, z = 2.6, so w = -(2.6 - 0.1) / 2.5 = -1, as it was.
    optimizer = optimizers.Ftrl(
        0.5, initial_accumulator_value=1.0, l1_regularization_strength=0.1, l2_regularization_strength=0.25
    )
    table = after(optimizer, slices([[2.0, 0.0]], [0]))
    np.testing.assert_allclose(table, [[0.597758, -1.0], [0.5, 0.25], [2.0, 0.0]], rtol=1e-5)


def test_ftrl_begins_where_the_weights_are() -> None:
    """|z| = λ1 + |w| ((√n₀ + β) / α + 2 λ2), against the weight's sign.

    α = 0.5, β = 0.25, λ1 = 0.1, λ2 = 0.25, n₀ = 4: (2 + 0.25) / 0.5 + 0.5 = 5. w = 2: z = -10.1; w = -0.5: z = 2.6.
    A weight of 0 has z = 0, the middle of the values that hold it there. A step without a gradient changes nothing.
    """
    variable = keras.Variable([[2.0], [-0.5], [0.0]])
    optimizer = optimizers.Ftrl(
        0.5,
        initial_accumulator_value=4.0,
        l1_regularization_strength=0.1,
        l2_regularization_strength=0.25,
        beta=0.25,
    )
    optimizer.build([variable])
    (z,) = (slot for slot in optimizer.variables if "linear" in slot.path)
    np.testing.assert_allclose(z, [[-10.1], [2.6], [0.0]], rtol=1e-6)
    optimizer.apply([tf.zeros([3, 1])], [variable])
    np.testing.assert_allclose(variable, [[2.0], [-0.5], [0.0]], rtol=1e-6)


def test_ftrl_holds_small_weights_at_zero() -> None:
    # From w = 0: z = g. After g = 0.3 and 0.15, |z| = 0.45 < λ1 = 0.5; after another 0.15, z = 0.6, n = 1.135:
    # w = -(0.6 - 0.5) / (√1.135 / 0.5) = -0.0469323
    variable = keras.Variable([[0.0]])
    optimizer = optimizers.Ftrl(0.5, initial_accumulator_value=1.0, l1_regularization_strength=0.5)
    seen = []
    for gradient in (0.3, 0.15, 0.15):
        optimizer.apply([tf.IndexedSlices([[gradient]], tf.constant([0], tf.int64))], [variable])
        seen.append(variable.numpy().item())
    np.testing.assert_allclose(seen, [0.0, 0.0, -0.0469323], rtol=1e-5)


RATES = keras.optimizers.schedules.PiecewiseConstantDecay([1, 3], [0.5, 0.05, 0.2])


@pytest.mark.parametrize("sparse", [True, False])
def test_ftrl_under_a_schedule_keeps_what_it_has_learned(sparse: bool) -> None:
    """Without regularisation FTRL's step is AdaGrad's, -α g / √(n + g²), whatever α was before.

    (z holds -w √n / α; read with a tenth of that α, it would make a tenth of the weight.)
    """
    gradients = [slices([[0.5, -1.0]], [row]) for row in (0, 1, 0, 0, 1, 2)]
    if not sparse:
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
    ftrl = after(optimizers.Ftrl(RATES, initial_accumulator_value=0.25), *gradients)
    adagrad = after(optimizers.Adagrad(RATES, initial_accumulator_value=0.25, epsilon=0.0), *gradients)
    np.testing.assert_allclose(ftrl, adagrad, rtol=1e-5)


def test_ftrl_keeps_its_weights_when_its_rate_is_changed() -> None:
    """α = 0.5, λ1 = 0.25, λ2 = 0.5, n₀ = 1, from (0, 0).

    g = (2, 0.125): n = (5, 1.015625), z = (2, 0.125): w₀ = -(2 - 0.25) / (√5 / 0.5 + 1) = -0.319802, w₁ = 0.
    Then α = 0.05: z₀ = 0.25 + 0.319802 (√5 / 0.05 + 1) = 14.871782, z₁ as it is. g = (1, 0): n₀ = 6,
    z₀ = 14.871782 + 1 + (√6 - √5) / 0.05 · 0.319802 = 17.236836: w₀ = -(17.236836 - 0.25) / (√6 / 0.05 + 1)
    = -0.339806: a step of 0.02 = 0.05 · 1 / √6, and a bit less for λ1 and λ2 in it.
    """
    variable = keras.Variable([[0.0, 0.0]])
    optimizer = optimizers.Ftrl(
        0.5, initial_accumulator_value=1.0, l1_regularization_strength=0.25, l2_regularization_strength=0.5
    )
    optimizer.apply([tf.constant([[2.0, 0.125]])], [variable])
    np.testing.assert_allclose(variable, [[-0.319802, 0.0]], rtol=1e-5)
    optimizer.learning_rate = 0.05
    optimizer.keep_weights()
    (z,) = (slot for slot in optimizer.variables if "linear" in slot.path)
    np.testing.assert_allclose(z, [[14.871782, 0.125]], rtol=1e-5)
    optimizer.apply([tf.constant([[1.0, 0.0]])], [variable])
    np.testing.assert_allclose(variable, [[-0.339806, 0.0]], rtol=1e-5)


def test_adagrad_by_hand() -> None:
    # n₀ = 0.1. Row 2: g = (3, 1): n = (9.1, 1.1); w = (2 - 0.5 · 3 / √9.1, 0 - 0.5 · 1 / √1.1)
    # = (1.502753, -0.476731). Again with g = (4, 0): n = (25.1, 1.1); w₀ = 1.502753 - 0.5 · 4 / √25.1 = 1.103552
    table = after(optimizers.Adagrad(0.5), slices([[3.0, 1.0]], [2]), slices([[4.0, 0.0]], [2]))
    np.testing.assert_allclose(table, [TABLE[0], TABLE[1], [1.103552, -0.476731]], rtol=1e-5)


def test_adam_by_hand_and_lazily() -> None:
    # β1 = 0.5, β2 = 0.75, α = 0.1, ε = 0. Step 1, row 0: g = (2, -2): m = ±1, v = 0.25 · 4 = 1,
    # α √(1 - 0.75) / (1 - 0.5) = 0.1: w = (1 - 0.1, -1 + 0.1).
    # Step 2, row 1: g = (4, 0): m = (2, 0), v = (4, 0), α √(1 - 0.5625) / (1 - 0.25) = 0.0881917:
    # w = (0.5 - 0.0881917 · 2 / 2, 0.25): 0 / (0 + ε) with ε = 1e-7 is 0. Row 0 stays, moments and all.
    # Step 3, row 0: g = (0, 1): m = (0.5, 0), since -1 + 0.5 (1 + 1) = 0; v = (0.75, 1);
    # α √(1 - 0.421875) / (1 - 0.125) = 0.0868966: w₀ = 0.9 - 0.0868966 · 0.5 / √0.75 = 0.849830
    optimizer = optimizers.Adam(0.1, beta_1=0.5, beta_2=0.75, epsilon=1e-7)
    table = after(optimizer, slices([[2.0, -2.0]], [0]), slices([[4.0, 0.0]], [1]), slices([[0.0, 1.0]], [0]))
    np.testing.assert_allclose(table, [[0.849830, -0.9], [0.411808, 0.25], TABLE[2]], rtol=1e-5)


PAIRS = {
    "ftrl": (
        optimizers.Ftrl,
        keras.optimizers.Ftrl,
        {
            "learning_rate": 0.3,
            "l1_regularization_strength": 0.01,
            "l2_regularization_strength": 0.02,
            "l2_shrinkage_regularization_strength": 0.03,
            "beta": 0.5,
        },
    ),
    # ε stands inside the root in Keras and outside in TensorFlow's kernel: without it the rules are equal.
    "adagrad": (optimizers.Adagrad, keras.optimizers.Adagrad, {"learning_rate": 0.3, "epsilon": 0.0}),
    "adam": (optimizers.Adam, keras.optimizers.Adam, {"learning_rate": 0.3, "beta_1": 0.8, "beta_2": 0.95}),
}


@pytest.mark.parametrize("name", PAIRS)
def test_dense_steps_equal_those_of_keras(name: str) -> None:
    """From 0, since Keras' FTRL forgets other initial weights."""
    ours, theirs, arguments = PAIRS[name]
    tables = [keras.Variable(tf.zeros([3, 2])) for _ in range(2)]
    for optimizer, table in zip((ours(**arguments), theirs(**arguments)), tables, strict=True):
        for step in range(5):
            optimizer.apply([tf.random.stateless_normal([3, 2], seed=[0, step])], [table])
    np.testing.assert_allclose(*tables, rtol=1e-5)


@pytest.mark.parametrize("name", PAIRS)
def test_sparse_steps_that_touch_every_row_equal_dense_ones(name: str) -> None:
    ours, _, arguments = PAIRS[name]
    dense = [tf.random.stateless_normal([3, 2], seed=[0, step]) for step in range(5)]
    rows = tf.constant([2, 0, 1], tf.int64)
    sparse = [tf.IndexedSlices(tf.gather(gradient, rows), rows) for gradient in dense]
    np.testing.assert_allclose(after(ours(**arguments), *sparse), after(ours(**arguments), *dense), rtol=1e-5)


@pytest.mark.parametrize("name", PAIRS)
def test_slices_of_the_same_row_are_added_up_first(name: str) -> None:
    ours, _, arguments = PAIRS[name]
    apart = slices([[1.0, 2.0], [3.0, 0.0], [-0.5, 1.0]], [1, 0, 1])
    together = slices([[3.0, 0.0], [0.5, 3.0]], [0, 1])
    np.testing.assert_allclose(after(ours(**arguments), apart), after(ours(**arguments), together), rtol=1e-6)


def test_the_norm_of_a_tables_gradient() -> None:
    """Rows 1, 0 and 1 with (3, 4), (0, 0) and (3, 4): (6, 8) in all, of norm 10; apart their norm would be 7.07."""
    apart = slices([[3.0, 4.0], [0.0, 0.0], [3.0, 4.0]], [1, 0, 1])
    together = optimizers.distinct(apart)
    np.testing.assert_allclose(tf.linalg.global_norm([together]), 10.0)
    np.testing.assert_array_equal(tf.convert_to_tensor(together), tf.convert_to_tensor(apart))
    dense = tf.ones([2, 2])
    assert optimizers.distinct(dense) is dense


@pytest.mark.parametrize("name", PAIRS)
def test_other_rows_and_their_slots_do_not_change(name: str) -> None:
    ours, _, arguments = PAIRS[name]
    variable = keras.Variable(TABLE)
    optimizer = ours(**arguments)
    optimizer.build([variable])
    tables = [variable, *(slot for slot in optimizer.variables if slot.shape == (3, 2))]
    assert len(tables) > 1
    before = [table.numpy() for table in tables]
    optimizer.apply([slices([[1.0, 1.0]], [1])], [variable])
    for table, old in zip(tables, before, strict=True):
        np.testing.assert_array_equal(np.delete(table.numpy(), 1, axis=0), np.delete(old, 1, axis=0))
        assert (table.numpy()[1] != old[1]).any()


@pytest.mark.parametrize("name", PAIRS)
def test_the_gradient_of_a_lookup_is_applied_inside_a_function(name: str) -> None:
    """What a training step does: the kernels get the variables' handles while the function is traced."""
    ours, _, arguments = PAIRS[name]
    variable = keras.Variable(TABLE)
    optimizer = ours(**arguments)
    optimizer.build([variable])

    @tf.function
    def step(ids: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.gather(variable.value, ids) * [[1.0, 2.0]])
        optimizer.apply(tape.gradient(loss, [variable]), [variable])

    step(tf.constant([2, 0, 2], tf.int64))
    expected = after(ours(**arguments), slices([[2.0, 4.0], [1.0, 2.0]], [2, 0]))
    np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-6)


def test_adam_that_is_not_lazy_is_keras_adam_on_a_table() -> None:
    """Rows that a step does not touch go on moving, as with the dense gradient."""
    tables = [keras.Variable([[1.0, -1.0], [2.0, 0.5], [3.0, 0.0]]) for _ in range(2)]
    ours, keras_adam = optimizers.Adam(learning_rate=0.1, lazy=False), keras.optimizers.Adam(learning_rate=0.1)
    for optimizer, table in zip((ours, keras_adam), tables, strict=True):
        optimizer.build([table])
    for rows in ([0, 1, 1], [2, 2, 0], [0, 0, 0]):
        gradient = tf.IndexedSlices(tf.constant([[0.5, -1.0], [0.25, 2.0], [-0.5, 1.0]]), rows, [3, 2])
        ours.apply([gradient], [tables[0]])
        keras_adam.apply([tf.convert_to_tensor(gradient)], [tables[1]])
    np.testing.assert_allclose(tables[0], tables[1], rtol=1e-5)
    assert abs(float(tables[0][1, 0]) - 2) > 0.15, "row 1 was touched once, and moved in every step"
