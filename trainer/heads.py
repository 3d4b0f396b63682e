"""Heads, which turn a model's logits into its training loss and its answers.

=========  =====================================  ==========================================================
label      answers, float32                       loss of a row
=========  =====================================  ==========================================================
binary     probability, logit [N]; of each other  cross entropy: -ln σ(±z), summed over the labels that it
           label NAME probability_NAME [N]        has
classes    probabilities [N, classes]; and where  cross entropy: -ln softmax(z)_y
           these are numbers expected [N]
number     prediction [N]                         ((y - prediction) / deviation)² / 2
=========  =====================================  ==========================================================
"""

from __future__ import annotations

import abc
import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Self

import numpy as np
import tensorflow as tf

from schema.answers import EXPECTED, LOGIT, PREDICTION, PROBABILITIES, PROBABILITY, of_other_label
from schema.feature_spec import FeatureSpec
from trainer.calibration_curve import CalibrationCurve
from trainer.inputs import Examples
from trainer.params import TrainParams

Logits = Callable[[tf.Tensor | None], tf.Tensor]
"""A function that returns a batch's logits, float32 [batch, units], or only those of some classes, int64 [any]."""

_BATCH = 8192


class Head(abc.ABC):
    """The loss and the answers of a model for one kind of label.

    Attributes:
        has_auc: whether the first logit is for a label of two classes, and so has an AUC.
        has_scores: whether the model can answer TF Serving's Classify.
        has_value: whether the model can answer TF Serving's Regress.
        classes: the classes' names in answers to Classify.
    """

    has_auc: bool = False
    has_scores: bool = False
    has_value: bool = False
    classes: Sequence[str] = ()

    def training_losses(self, labels: tf.Tensor, logits: Logits) -> tf.Tensor:
        """The loss of each row in a training step, float32 [batch].

        Args:
            labels: the labels, as those of `losses`.
            logits: a function that returns the batch's logits.
        """
        return self.losses(labels, logits(None))

    @abc.abstractmethod
    def losses(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """The loss of each row, float32 [batch].

        Args:
            labels: the labels, float32 [batch], or [batch, labels] if a row has several.
            logits: the logits, float32 [batch, units].
        """

    @abc.abstractmethod
    def answers(self, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        """The served model's answers by name, see the table above."""

    def scores(self, answers: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The classes' probabilities, float32 [N, classes], if `has_scores`."""
        raise NotImplementedError

    def value(self, answers: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """One number per row, float32 [N], if `has_value`."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """What of the head comes from data, as JSON has it; `restored` makes the same head of it."""
        return {}

    def order(self, logits: tf.Tensor) -> tf.Tensor:
        """The values to rank rows by, highest first: float32 [N], if `has_value`."""
        return self.value(self.answers(logits))


class Logistic(Head):
    """The head of a label of two classes, and of further such labels of the same rows (Caruana, Multitask Learning,
    1997, section 1: a shared bottom). Each label has a logit; everything before the logits is shared::

        loss = -ln σ(±z₀) - w Σₖ ln σ(±zₖ)

    A row that lacks another label (NaN) does not count for that label.

    Args:
        others: the names of the other labels.
        others_weight: w. Rule of thumb: 0.1 to 1, less if mainly the first label matters.
    """

    has_auc = has_scores = has_value = True
    classes = ("0", "1")

    def __init__(self, others: Sequence[str] = (), others_weight: float = 1.0) -> None:
        self._others = others
        self._weights = [1.0] + [others_weight] * len(others)
        self._calibration: CalibrationCurve | None = None

    def calibrated(self, calibration: CalibrationCurve) -> Self:
        """A copy of this head that calibrates the first label's logit in its answers."""
        head = copy.copy(self)
        head._calibration = calibration
        return head

    def state(self) -> dict[str, Any]:
        return {"calibration": asdict(self._calibration)} if self._calibration else {}

    def losses(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        if not self._others:
            return tf.nn.sigmoid_cross_entropy_with_logits(labels, tf.squeeze(logits, axis=1))
        known = tf.math.is_finite(labels)
        losses = tf.nn.sigmoid_cross_entropy_with_logits(tf.where(known, labels, 0.0), logits)
        return tf.linalg.matvec(tf.where(known, losses, 0.0), self._weights)

    def answers(self, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = tf.sigmoid(logits)
        others = {of_other_label(name): probabilities[:, place] for place, name in enumerate(self._others, 1)}
        logit = self._calibration(logits[:, 0]) if self._calibration else logits[:, 0]
        return {PROBABILITY: tf.sigmoid(logit), LOGIT: logit, **others}

    def scores(self, answers: Mapping[str, tf.Tensor]) -> tf.Tensor:
        probability = answers[PROBABILITY]
        return tf.stack([1 - probability, probability], axis=1)

    def value(self, answers: Mapping[str, tf.Tensor]) -> tf.Tensor:
        return answers[PROBABILITY]

    def order(self, logits: tf.Tensor) -> tf.Tensor:
        return logits[:, 0]  # calibration or rounding may make probabilities equal


class Softmax(Head):
    """The head of a label of many classes, with a logit for each.

    Args:
        classes: the classes' names.
        values: the classes' values if they are numbers; `expected` is the sum of probability times value.
        sampled: the number of classes, drawn at random, that a training step compares with the true one (Jean et al.,
            On Using Very Large Target Vocabulary, 2015, equation 7). Classes are drawn uniformly, so that the
            correction by their expected counts is equal for all, and cancels out. None compares all classes. Rule of
            thumb: 100 to 1000, from 10,000 classes on.
    """

    has_scores = True

    def __init__(self, classes: Sequence[str], values: Sequence[float] | None, sampled: int | None = None) -> None:
        self.classes = classes
        self.has_value = values is not None
        self._values = values
        self._sampled = sampled if sampled and sampled < len(classes) else None

    def training_losses(self, labels: tf.Tensor, logits: Logits) -> tf.Tensor:
        if not self._sampled:
            return self.losses(labels, logits(None))
        true = tf.cast(labels, tf.int64)
        drawn, _, _ = tf.random.uniform_candidate_sampler(
            true[:, tf.newaxis], 1, self._sampled, unique=True, range_max=len(self.classes)
        )
        present, places = tf.unique(true)
        found = logits(tf.concat([present, drawn], axis=0))
        of_true = tf.gather(found, places, axis=1, batch_dims=1)[:, tf.newaxis]
        of_drawn = tf.where(drawn == true[:, tf.newaxis], found.dtype.min, found[:, tf.size(present) :])
        return tf.reduce_logsumexp(tf.concat([of_true, of_drawn], axis=1), axis=1) - of_true[:, 0]

    def losses(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(labels, tf.int64), logits)

    def answers(self, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = tf.nn.softmax(logits)
        expected = {} if self._values is None else {EXPECTED: tf.linalg.matvec(probabilities, self._values)}
        return {PROBABILITIES: probabilities, **expected}

    def scores(self, answers: Mapping[str, tf.Tensor]) -> tf.Tensor:
        return answers[PROBABILITIES]

    def value(self, answers: Mapping[str, tf.Tensor]) -> tf.Tensor:
        return answers[EXPECTED]


class Regression(Head):
    """The head of a number, which predicts mean + deviation · z, so that z is of the order of 1 for any label.

    Args:
        mean: the mean of the train split's labels.
        deviation: the standard deviation of the train split's labels.
    """

    has_value = True

    def __init__(self, mean: float, deviation: float) -> None:
        self._mean = mean
        self._deviation = deviation

    def state(self) -> dict[str, Any]:
        return {"mean": self._mean, "deviation": self._deviation}

    def losses(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        return tf.square((labels - self._mean) / self._deviation - tf.squeeze(logits, axis=1)) / 2

    def answers(self, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        return {PREDICTION: self._mean + self._deviation * tf.squeeze(logits, axis=1)}

    def value(self, answers: Mapping[str, tf.Tensor]) -> tf.Tensor:
        return answers[PREDICTION]


def units_of(spec: FeatureSpec) -> int:
    """The number of logits per row that a dataset's label needs."""
    classes = spec.label.classes
    if classes is not None:
        return classes if isinstance(classes, int) else len(classes)
    return len(spec.labels)


def head_for(spec: FeatureSpec, params: TrainParams, train: Examples) -> Head:
    """The head that a dataset's label needs.

    Args:
        spec: the resolved spec.
        params: the parameters of the losses.
        train: the train split.
    """
    return restored(spec, params, _mean_and_deviation(train) if spec.label.number else {})


def restored(spec: FeatureSpec, params: TrainParams, state: Mapping[str, Any]) -> Head:
    """The head of a trained model.

    Args:
        spec: the resolved spec.
        params: the parameters of the losses.
        state: the `Head.state` of the head.
    """
    classes = spec.label.classes
    if classes is not None:
        values = range(classes) if isinstance(classes, int) else classes
        names = [value if isinstance(value, str) else f"{value:g}" for value in values]
        numbers = None if isinstance(values[0], str) else [float(value) for value in values]
        return Softmax(names, numbers, params.sampled_classes)
    if spec.label.number:
        return Regression(state["mean"], state["deviation"])
    head = Logistic(tuple(spec.other_labels), params.other_labels_weight)
    return head.calibrated(CalibrationCurve(**state["calibration"])) if state else head


def _mean_and_deviation(train: Examples) -> dict[str, float]:
    """The mean and standard deviation of the labels, by example weight."""
    batches = [(label.numpy(), weight.numpy()) for _, label, weight in train.in_order(_BATCH)]
    labels, weights = (np.concatenate(values).astype(np.float64) for values in zip(*batches, strict=True))
    mean = np.average(labels, weights=weights)
    deviation = np.sqrt(np.average(np.square(labels - mean), weights=weights))
    return {"mean": float(mean), "deviation": float(deviation)}
