"""FTRL, AdaGrad and Adam whose steps cost as much as the rows that a batch touches, however large the tables are.

The gradient of a table lookup is a `tf.IndexedSlices`: the rows that the batch used and their gradients. Keras 3
turns it into a dense gradient of the whole table first. The optimizers here are Keras' own (same arguments, same
slots, same rule for dense gradients) with the update done in place, and for `IndexedSlices` on the touched rows only. A
row that a batch does not touch keeps its value and its slots.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import keras
import tensorflow as tf

Rate: TypeAlias = float | keras.optimizers.schedules.LearningRateSchedule
Gradient: TypeAlias = tf.Tensor | tf.IndexedSlices


class _Summed:
    """A mixin for optimizers under a `tf.distribute` strategy that takes gradients already summed over the replicas,
    since they are clipped after the sum.
    """

    def _all_reduce_sum_gradients(
        self, gradients: list[tuple[Gradient, tf.Variable]]
    ) -> list[tuple[Gradient, tf.Variable]]:
        return gradients


class Ftrl(_Summed, keras.optimizers.Ftrl):  # type: ignore[misc]
    """Follow the regularized leader, per coordinate (McMahan et al., Ad Click Prediction, 2013, algorithm 1).

    With g the gradient, per weight w and its slots n (squares of gradients) and z::

        z ← z + g - (√(n + g²) - √n) / α · w
        n ← n + g²
        w ← 0 if |z| ≤ λ1 else -(z - sgn(z) λ1) / (√n / α + 2 λ2)

    Arguments are those of `keras.optimizers.Ftrl`. α (`learning_rate`): 0.01 to 0.5. λ1 holds weights of rare and
    useless ids at exactly 0: since g is the gradient of a batch's mean loss, useful values are a small multiple of
    1 / batch size.

    The rule uses a weight only to update z; the new weight depends on z and the step's rate alone. So weights that do
    not start at 0, as in a warm start or in hidden layers, would be lost, and all weights would change with the rate,
    unless z is adapted to them, see `keep_weights`. With a `LearningRateSchedule`, every step does this.
    """

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Makes the slots, and adapts them to the current weights."""
        if self.built:
            return
        super().build(variables)
        self.keep_weights()

    def keep_weights(self) -> None:
        """Sets z such that the third line of the rule yields the current weights at the current rate::

            z = -sgn(w) (λ1 + |w| (√n / α + 2 λ2))

        Call this after a change of `learning_rate`. For a weight of 0, z is left, since any |z| ≤ λ1 keeps it at 0.
        """
        for variable, n, linear in zip(self._trainable_variables, self._accumulators, self._linears, strict=True):
            linear.assign(self._kept(variable.value, n.value, linear.value, self.learning_rate))

    def _kept(self, weight: tf.Tensor, n: tf.Tensor, linear: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
        quadratic = (n**-self.learning_rate_power + self.beta) / tf.cast(rate, n.dtype)
        quadratic += 2 * self.l2_regularization_strength
        kept = -tf.sign(weight) * (self.l1_regularization_strength + tf.abs(weight) * quadratic)
        return tf.where(weight == 0, linear, kept)

    def update_step(self, gradient: Gradient, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        index = self._get_variable_index(variable)
        rate = tf.cast(learning_rate, variable.dtype)
        rule = {
            "lr": rate,
            "l1": self.l1_regularization_strength,
            "l2": self.l2_regularization_strength + self.beta / (2 * rate),
            "l2_shrinkage": self.l2_shrinkage_regularization_strength,
            "lr_power": self.learning_rate_power,
        }
        accumulator, linear = self._accumulators[index].value, self._linears[index].value
        resources = {"var": variable.handle, "accum": accumulator.handle, "linear": linear.handle}
        scheduled = isinstance(self._learning_rate, keras.optimizers.schedules.LearningRateSchedule)
        if isinstance(gradient, tf.IndexedSlices):
            rows, values = sum_by_row(gradient)
            if scheduled:
                w, n, z = (tf.gather(slot, rows) for slot in (variable, accumulator, linear))
                _set_rows(rows, (linear, self._kept(w, n, z, rate)))
            tf.raw_ops.ResourceSparseApplyFtrlV2(**resources, grad=values, indices=rows, **rule)
        else:
            if scheduled:
                linear.assign(self._kept(variable, accumulator, linear, rate))
            tf.raw_ops.ResourceApplyFtrlV2(**resources, grad=gradient, **rule)


class Adagrad(_Summed, keras.optimizers.Adagrad):  # type: ignore[misc]
    """AdaGrad (Duchi et al., 2011, figure 1, diagonal)::

        n ← n + g²
        w ← w - α g / (√n + ε)

    Arguments are those of `keras.optimizers.Adagrad`. α (`learning_rate`): 0.01 to 0.1.
    """

    def update_step(self, gradient: Gradient, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        index = self._get_variable_index(variable)
        rate = tf.cast(learning_rate, variable.dtype)
        accumulator = self._accumulators[index].value
        if isinstance(gradient, tf.IndexedSlices):
            rows, values = sum_by_row(gradient)
            n = tf.gather(accumulator, rows) + tf.square(values)
            w = tf.gather(variable, rows) - rate * values / (tf.sqrt(n) + self.epsilon)
            _set_rows(rows, (accumulator, n), (variable, w))
        else:
            tf.raw_ops.ResourceApplyAdagradV2(
                var=variable.handle, accum=accumulator.handle, lr=rate, epsilon=self.epsilon, grad=gradient
            )


class Adam(_Summed, keras.optimizers.Adam):  # type: ignore[misc]
    """Adam (Kingma and Ba, 2015, section 2), lazy on table rows. At step t::

        m ← m + (1 - β1)(g - m)
        v ← v + (1 - β2)(g² - v)
        w ← w - α √(1 - β2ᵗ) / (1 - β1ᵗ) · m / (√v + ε)

    The moments of a row decay only in steps that touch it, while t counts all steps. So for rows that every batch
    touches this is Adam, and the moments of rare rows are those of the batches that touched them.

    Arguments are those of `keras.optimizers.Adam`, without `amsgrad`. α (`learning_rate`): 0.0005 to 0.002.

    Args:
        lazy: whether a step updates only the table rows that it touches. With False every step updates all rows, as
            Adam's own rule does, and costs as much as all rows.
    """

    def __init__(self, learning_rate: Rate = 0.001, lazy: bool = True, **kwargs: Any) -> None:
        super().__init__(learning_rate=learning_rate, **kwargs)
        self._lazy = lazy

    def update_step(self, gradient: Gradient, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations.value + 1, variable.dtype)
        rate = tf.cast(learning_rate, variable.dtype)
        beta_1, beta_2 = (tf.constant(beta, variable.dtype) for beta in (self.beta_1, self.beta_2))
        beta_1_power, beta_2_power = beta_1**step, beta_2**step
        momentum, velocity = self._momentums[index].value, self._velocities[index].value
        if not self._lazy:
            gradient = tf.convert_to_tensor(gradient)
        if isinstance(gradient, tf.IndexedSlices):
            rows, values = sum_by_row(gradient)
            m = tf.gather(momentum, rows)
            m += (1 - beta_1) * (values - m)
            v = tf.gather(velocity, rows)
            v += (1 - beta_2) * (tf.square(values) - v)
            scaled_rate = rate * tf.sqrt(1 - beta_2_power) / (1 - beta_1_power)
            w = tf.gather(variable, rows) - scaled_rate * m / (tf.sqrt(v) + self.epsilon)
            _set_rows(rows, (momentum, m), (velocity, v), (variable, w))
        else:
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=momentum.handle,
                v=velocity.handle,
                beta1_power=beta_1_power,
                beta2_power=beta_2_power,
                lr=rate,
                beta1=beta_1,
                beta2=beta_2,
                epsilon=self.epsilon,
                grad=gradient,
            )


def distinct(gradient: Gradient) -> Gradient:
    """A gradient with each row of a table once, so that the norm of its values is the norm of the gradient."""
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    rows, values = sum_by_row(gradient)
    return tf.IndexedSlices(values, rows, gradient.dense_shape)


def sum_by_row(gradient: tf.IndexedSlices) -> tuple[tf.Tensor, tf.Tensor]:
    """The distinct rows of a gradient ([rows]) and the sum of the slices of each ([rows, ...]).

    TensorFlow's sparse kernels would apply the slices of a row one after the other, which is a different rule for every
    optimizer that is not linear in the gradient.
    """
    rows, positions = tf.unique(gradient.indices)
    return rows, tf.math.unsorted_segment_sum(gradient.values, positions, tf.size(rows))


def _set_rows(rows: tf.Tensor, *changes: tuple[tf.Variable, tf.Tensor]) -> None:
    """Overwrites rows of tables, which is several times as fast as adding to them or as TensorFlow's sparse AdaGrad."""
    for table, values in changes:
        table.scatter_update(tf.IndexedSlices(values, rows))
