"""The training loop: one joint loss, early stopping by AUC, and a checkpoint per epoch to go on from."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import sklearn.metrics  # type: ignore[import-untyped]
import tensorflow as tf

from schema.errors import RanklineError
from trainer import optimizers
from trainer.inputs import Examples
from trainer.models.joint import Joint
from trainer.params import Adam, TrainParams

_STEPS_AT_ONCE = 500
"""Steps run without returning to Python, where an interrupt can take effect."""
_EVAL_ROWS = 8192
"""Batch size of the passes over the eval split."""

_log = logging.getLogger(__name__)


class TrainingError(RanklineError):
    """Training came to nothing."""


@dataclass(frozen=True)
class Epoch:
    """What came of one pass over the train split. Losses are means of -ln P(label), by example weight."""

    loss: float
    """Over the steps' batches, while weights were changing, with dropout."""
    eval_loss: float
    eval_auc: float
    seconds: float

    @property
    def metrics(self) -> dict[str, float]:
        """By name."""
        return dataclasses.asdict(self)


class History(tf.train.experimental.PythonState):  # type: ignore[misc]
    """The epochs so far; all that the training loop knows besides weights, and saved with them in a checkpoint."""

    def __init__(self) -> None:
        self.epochs: list[Epoch] = []

    @property
    def best(self) -> int:
        """Index of the first epoch with the highest AUC on the eval split."""
        return int(np.argmax([epoch.eval_auc for epoch in self.epochs]))

    def finished(self, params: TrainParams) -> bool:
        """Whether training has reached its last epoch, or has not got better for too long."""
        done = len(self.epochs)
        return done >= params.epochs or (done > 0 and done - 1 - self.best >= params.patience)

    def serialize(self) -> str:
        """As JSON."""
        return json.dumps([epoch.metrics for epoch in self.epochs])

    def deserialize(self, value: str) -> None:
        """Takes over what `serialize` gave."""
        self.epochs = [Epoch(**metrics) for metrics in json.loads(value)]


def fit(
    model: Joint,
    params: TrainParams,
    train: Examples,
    held_out: Examples,
    folder: str,
    on_epoch: Callable[[int, Epoch], None],
) -> History:
    """Trains a model until its AUC on held-out examples gets no better, and leaves it with its best weights.

    Killed and called again, with an equal model and equal arguments, it goes on after the last whole epoch, and
    comes to the same weights.

    Args:
        model: with initial weights.
        params: epochs, patience, batch size, seed, optimizers.
        train: examples to learn from.
        held_out: examples to stop by.
        folder: for checkpoints; of this training alone.
        on_epoch: called with each epoch's index and outcome, those before an interruption included.

    Raises:
        TrainingError: the loss is not a finite number.
    """
    optimizer = optimizer_for(model, params)
    optimizer.build(model.trainable_variables)
    history = History()
    # Keras' objects lead a checkpoint to their weights, but not to dropout's random state or an optimizer's slots.
    weights = [variable.value for variable in model.variables]
    slots = [variable.value for variable in optimizer.variables]
    last = _checkpoints(os.path.join(folder, "last"), weights=weights, slots=slots, history=history)
    best = _checkpoints(os.path.join(folder, "best"), weights=weights)
    if last.latest_checkpoint:
        last.checkpoint.restore(last.latest_checkpoint).assert_consumed()
        _log.info("going on after epoch %d, from %s", len(history.epochs), last.latest_checkpoint)
        for index, epoch in enumerate(history.epochs):
            on_epoch(index, epoch)

    run_steps = _stepper(model, optimizer)
    evaluate = _evaluator(model, held_out)
    batches = iter(
        tf.data.Dataset.range(len(history.epochs), params.epochs).flat_map(
            lambda epoch: train.shuffled(params.batch_size, tf.stack([params.seed, epoch]))
        )
    )
    steps = math.ceil(train.rows / params.batch_size)
    while not history.finished(params):
        start = time.monotonic()
        total = sum(
            float(run_steps(batches, tf.constant(min(_STEPS_AT_ONCE, steps - done))))
            for done in range(0, steps, _STEPS_AT_ONCE)
        )
        epoch = Epoch(total / steps, *evaluate(), seconds=round(time.monotonic() - start, 3))
        if not math.isfinite(epoch.loss + epoch.eval_loss):
            raise TrainingError(
                f"epoch {len(history.epochs) + 1}: expected a finite loss, received {epoch.loss} in training and "
                f"{epoch.eval_loss} on the eval split; lower the learning rates, or look for extreme values in "
                "numeric features and consider 'log1p' for them"
            )
        history.epochs.append(epoch)
        on_epoch(len(history.epochs) - 1, epoch)
        if history.best == len(history.epochs) - 1:
            best.save()
        last.save()
    best.checkpoint.restore(best.latest_checkpoint).assert_consumed()
    return history


def optimizer_for(model: Joint, params: TrainParams) -> keras.optimizers.Optimizer:
    """One optimizer that gives the wide part's weights to FTRL and all others to `params.deep_optimizer`."""
    wide = optimizers.Ftrl(
        learning_rate=params.wide_optimizer.learning_rate,
        initial_accumulator_value=params.wide_optimizer.initial_accumulator,
        l1_regularization_strength=params.wide_optimizer.l1,
        l2_regularization_strength=params.wide_optimizer.l2,
    )
    if isinstance(params.deep_optimizer, Adam):
        deep = optimizers.Adam(learning_rate=params.deep_optimizer.learning_rate)
    else:
        deep = optimizers.Adagrad(
            learning_rate=params.deep_optimizer.learning_rate,
            initial_accumulator_value=params.deep_optimizer.initial_accumulator,
        )
    of_wide_part = {id(variable) for variable in model.wide_variables}
    return keras.optimizers.MultiOptimizer(lambda variable: wide if id(variable) in of_wide_part else deep)


def _checkpoints(folder: str, **trackables: object) -> tf.train.CheckpointManager:
    """Of the latest state only."""
    return tf.train.CheckpointManager(tf.train.Checkpoint(**trackables), folder, max_to_keep=1)


def _stepper(model: Joint, optimizer: keras.optimizers.Optimizer) -> Callable[[tf.data.Iterator, tf.Tensor], tf.Tensor]:
    """A function that trains on so many batches and gives the sum of their losses."""

    def run_steps(batches: tf.data.Iterator, steps: tf.Tensor) -> tf.Tensor:
        total = 0.0
        for _ in tf.range(steps):
            features, label, weight = next(batches)
            with tf.GradientTape() as tape:
                losses = tf.nn.sigmoid_cross_entropy_with_logits(label, model(features, training=True))
                loss = tf.reduce_sum(weight * losses) / tf.reduce_sum(weight)
            optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
            total += loss
        return total

    compiled: Callable[[tf.data.Iterator, tf.Tensor], tf.Tensor] = tf.function(run_steps)
    return compiled


def _evaluator(model: Joint, examples: Examples) -> Callable[[], tuple[float, float]]:
    """A function that gives the model's mean loss and AUC on the examples."""
    batches = examples.in_order(_EVAL_ROWS)

    logits = tf.function(lambda features: model(features, training=False), reduce_retracing=True)

    def evaluate() -> tuple[float, float]:
        scored = [(logits(features), label, weight) for features, label, weight in batches]
        logit, label, weight = (np.concatenate(values).astype(np.float64) for values in zip(*scored, strict=True))
        if not np.isfinite(logit).all():
            return math.nan, math.nan
        losses = np.logaddexp(0, np.where(label == 1, -logit, logit))
        auc = sklearn.metrics.roc_auc_score(label, logit, sample_weight=weight)
        return float(np.average(losses, weights=weight)), float(auc)

    return evaluate
