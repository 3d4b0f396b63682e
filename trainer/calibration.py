"""Recalibration: a rising function that is put behind a trained model's logits, so that its probabilities are right.

Models trained by log loss are nearly calibrated on what they were trained on, and less so on later data, with strong
regularisation or with negatives that were sampled. What is learned here, from the eval split, changes probabilities but
never the order of rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from scipy import special
from sklearn.isotonic import isotonic_regression  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

from trainer.fit import TrainingError
from trainer.heads import Calibration
from trainer.inputs import Examples
from trainer.models.joint import Joint

Floats = npt.NDArray[np.float64]

_BATCH = 8192


def fitted(method: Literal["platt", "isotonic"], model: Joint, held_out: Examples) -> Calibration:
    """The recalibration of a model with a label of two classes.

    Args:
        method: which.
        model: a trained one.
        held_out: rows that it was not trained on.

    Raises:
        TrainingError: see `platt`.
    """
    return {"platt": platt, "isotonic": isotonic}[method](*_predictions(model, held_out))


def platt(logits: Floats, labels: Floats, weights: Floats) -> Calibration:
    """A line, fitted by log loss (Platt, Probabilistic Outputs for Support Vector Machines, 1999, section 2.2)::

        z ← a·z + b

    Labels are drawn in a little, to (n₊ + 1) / (n₊ + 2) and 1 / (n₋ + 2), so that few rows do not make it steep. Rule
    of thumb: for a few hundred to some ten thousand rows.

    Args:
        logits: [rows].
        labels: 0 or 1, [rows].
        weights: of the rows.

    Raises:
        TrainingError: the line falls: what scores higher was clicked less.
    """
    positive = labels == 1
    share = np.where(positive, (positive.sum() + 1) / (positive.sum() + 2), 1 / ((~positive).sum() + 2))
    # A row that is positive to a share is a positive and a negative row, with that share of its weight and the rest.
    fit = LogisticRegression(C=np.inf, solver="newton-cholesky").fit(
        np.concatenate([logits, logits])[:, np.newaxis],
        np.repeat([1, 0], len(logits)),
        np.concatenate([weights * share, weights * (1 - share)]),
    )
    slope, intercept = fit.coef_.item(), fit.intercept_.item()
    if slope <= 0:
        raise TrainingError(
            "train.calibration: expected rows of the eval split that score higher to be positive more often, received "
            "the contrary; the model orders them worse than chance, and calibrating would turn the order around"
        )
    return lambda values: slope * values + intercept


def isotonic(logits: Floats, labels: Floats, weights: Floats) -> Calibration:
    """A rising curve through the shares of positives in blocks of rows of similar logits, without a form of its own.

    Isotonic regression makes the blocks, and pools those in which the share would fall (Zadrozny and Elkan,
    Transforming Classifier Scores into Accurate Multiclass Probability Estimates, 2002, section 3.2). That is a
    staircase, which makes all rows of a block alike. As in centered isotonic regression (Oron and Flournoy, Centered
    Isotonic Regression, 2017), each block stands for a point instead, at its mean logit, and lines join the points,
    here on the scale of logits; beyond the outermost points they have a slope of 1. Rule of thumb: for ten thousand
    rows and more.

    Args and their shapes: as of `platt`.
    """
    places, block = np.unique(logits, return_inverse=True)
    of_place = np.bincount(block, weights)
    share = isotonic_regression(np.bincount(block, weights * labels) / of_place, sample_weight=of_place)
    shares, block = np.unique(share, return_inverse=True)
    of_block = np.bincount(block, of_place)
    centres = np.bincount(block, of_place * places) / of_block
    if len(shares) > 1:
        # No row at all positive, or all, is what few rows look like; never is never certain.
        if shares[0] == 0:
            shares[0] = min(0.5 / (of_block[0] + 1), shares[1] / 2)
        if shares[-1] == 1:
            shares[-1] = 1 - min(0.5 / (of_block[-1] + 1), (1 - shares[-2]) / 2)
    return _joined(centres, special.logit(shares))


def _joined(x: Floats, y: Floats) -> Calibration:
    """Lines between points; beyond them, slope 1."""
    x = np.concatenate([[x[0] - 1], x, [x[-1] + 1]])
    y = np.concatenate([[y[0] - 1], y, [y[-1] + 1]])
    slopes = np.diff(y) / np.diff(x)

    def calibrate(logits: tf.Tensor) -> tf.Tensor:
        line = tf.searchsorted(tf.constant(x[1:-1], tf.float32), logits, side="right")
        begin, base, slope = (tf.gather(tf.constant(values, tf.float32), line) for values in (x[:-1], y[:-1], slopes))
        return base + slope * (logits - begin)

    return calibrate


def _predictions(model: Joint, examples: Examples) -> tuple[Floats, Floats, Floats]:
    """Logits, labels and weights."""

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def logits_of(features: Mapping[str, tf.Tensor]) -> tf.Tensor:
        return model(features, training=False)[:, 0]

    judged = [
        (logits_of(features), labels if labels.shape.rank == 1 else labels[:, 0], weight)
        for features, labels, weight in examples.in_order(_BATCH)
    ]
    logits, labels, weights = (np.concatenate(values).astype(np.float64) for values in zip(*judged, strict=True))
    return logits, labels, weights
