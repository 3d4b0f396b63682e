"""Recalibration: a rising function that is applied to a trained model's logits to correct its probabilities.

Models trained by log loss are nearly calibrated on their training data, but less so on later data, with strong
regularisation or with sampled negatives. The function is fitted on the eval split. It changes probabilities but never
the order of rows.
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

from trainer.calibration_curve import CalibrationCurve
from trainer.fit import TrainingError
from trainer.inputs import Examples
from trainer.models.joint import Joint

Floats = npt.NDArray[np.float64]

_BATCH = 8192


def fitted(method: Literal["platt", "isotonic"], model: Joint, held_out: Examples) -> CalibrationCurve:
    """Fits the recalibration of a model with a label of two classes.

    Args:
        method: the method of recalibration.
        model: the trained model.
        held_out: rows that the model was not trained on.

    Raises:
        TrainingError: see `platt`.
    """
    return {"platt": platt, "isotonic": isotonic}[method](*_predictions(model, held_out))


def platt(logits: Floats, labels: Floats, weights: Floats) -> CalibrationCurve:
    """Fits a line by log loss (Platt, Probabilistic Outputs for Support Vector Machines, 1999, section 2.2)::

        z ← a·z + b

    Labels are smoothed to (n₊ + 1) / (n₊ + 2) and 1 / (n₋ + 2), so that few rows do not make the line steep. Rule of
    thumb: for a few hundred to some ten thousand rows.

    Args:
        logits: [rows], the model's logits.
        labels: [rows], the labels, 0 or 1.
        weights: [rows], the example weights.

    Raises:
        TrainingError: the line falls, since rows with higher scores are positive less often.
    """
    positive = labels == 1
    share = np.where(positive, (positive.sum() + 1) / (positive.sum() + 2), 1 / ((~positive).sum() + 2))
    # A row with a fractional label is split into a positive and a negative row, which share its weight.
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
    return CalibrationCurve([0.0], [intercept], [slope])


def isotonic(logits: Floats, labels: Floats, weights: Floats) -> CalibrationCurve:
    """Fits a rising curve of any form through the shares of positives in blocks of rows with similar logits.

    Isotonic regression makes the blocks, and pools those in which the share would fall (Zadrozny and Elkan,
    Transforming Classifier Scores into Accurate Multiclass Probability Estimates, 2002, section 3.2). The result is a
    staircase, which gives all rows of a block the same probability. As in centered isotonic regression (Oron and
    Flournoy, Centered Isotonic Regression, 2017), each block is therefore reduced to a point at its mean logit. Lines
    join the points on the scale of logits, with a slope of 1 beyond the outermost points. Rule of thumb: for ten
    thousand rows and more.

    Args:
        logits: [rows], the model's logits.
        labels: [rows], the labels, 0 or 1.
        weights: [rows], the example weights.
    """
    places, block = np.unique(logits, return_inverse=True)
    of_place = np.bincount(block, weights)
    share = isotonic_regression(np.bincount(block, weights * labels) / of_place, sample_weight=of_place)
    shares, block = np.unique(share, return_inverse=True)
    of_block = np.bincount(block, of_place)
    centres = np.bincount(block, of_place * places) / of_block
    if len(shares) > 1:
        # A block of few rows may have a share of 0 or 1 by chance, but a probability should never be 0 or 1.
        if shares[0] == 0:
            shares[0] = min(0.5 / (of_block[0] + 1), shares[1] / 2)
        if shares[-1] == 1:
            shares[-1] = 1 - min(0.5 / (of_block[-1] + 1), (1 - shares[-2]) / 2)
    return _joined(centres, special.logit(shares))


def _joined(x: Floats, y: Floats) -> CalibrationCurve:
    """The function that joins points by lines, with a slope of 1 beyond them."""
    x = np.concatenate([[x[0] - 1], x, [x[-1] + 1]])
    y = np.concatenate([[y[0] - 1], y, [y[-1] + 1]])
    return CalibrationCurve(x[:-1].tolist(), y[:-1].tolist(), (np.diff(y) / np.diff(x)).tolist())


def _predictions(model: Joint, examples: Examples) -> tuple[Floats, Floats, Floats]:
    """The model's first logits, and the labels and weights of the examples, [rows] each."""

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def logits_of(features: Mapping[str, tf.Tensor]) -> tf.Tensor:
        return model(features, training=False)[:, 0]

    judged = [
        (logits_of(features), labels if labels.shape.rank == 1 else labels[:, 0], weight)
        for features, labels, weight in examples.in_order(_BATCH)
    ]
    logits, labels, weights = (np.concatenate(values).astype(np.float64) for values in zip(*judged, strict=True))
    return logits, labels, weights
