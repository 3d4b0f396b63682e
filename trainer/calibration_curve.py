"""A rising function from logits to calibrated logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class CalibrationCurve:
    """Lines that join each other, with one before the first point and one beyond the last.

    Attributes:
        begins: the logits at which the lines begin, rising. The first line also holds below its begin.
        bases: the calibrated logits there.
        slopes: the slopes of the lines.
    """

    begins: Sequence[float]
    bases: Sequence[float]
    slopes: Sequence[float]

    def __call__(self, logits: tf.Tensor) -> tf.Tensor:
        """Calibrates logits, float32 [any]."""
        line = tf.searchsorted(tf.constant(self.begins[1:], tf.float32), logits, side="right")
        begin, base, slope = (
            tf.gather(tf.constant(values, tf.float32), line) for values in (self.begins, self.bases, self.slopes)
        )
        return base + slope * (logits - begin)
