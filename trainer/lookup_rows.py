"""Rows of values inside a served model."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from trainer.item_table import Array


def kept(values: Array) -> tf.Variable:
    """A variable, since a graph has no room for large constants."""
    return tf.Variable(values, trainable=False)


def with_one_more(values: Array, last: str | int | float) -> Array:
    """Rows and one more, whose value is `last`, or in lists nothing else."""
    row = np.full((1, *values.shape[1:]), last, values.dtype)
    return np.concatenate([values, row])


def memory_of(variables: Iterable[tf.Variable]) -> int:
    """The bytes that variables take, without texts."""
    return sum(math.prod(variable.shape) * variable.dtype.size for variable in variables)
