"""The training loop: one joint loss, early stopping by AUC, and a checkpoint per epoch to continue from."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from schema.errors import RanklineError
from trainer import optimizers
from trainer.auc import auc
from trainer.distribution import is_chief, sum_over_replicas
from trainer.heads import Head, Logistic
from trainer.inputs import Batch, Examples
from trainer.models.joint import Joint
from trainer.params import Adagrad, Adam, Cosine, Ftrl, Plateau, TrainParams

_STEPS_AT_ONCE = 500
"""The number of steps between returns to Python, where an interrupt can take effect."""
_EVAL_ROWS = 8192
"""The batch size of the passes over the eval split."""

_BINARY = Logistic()

_log = logging.getLogger(__name__)


class TrainingError(RanklineError):
    """Training failed."""


@dataclass(frozen=True)
class Epoch:
    """The outcome of one pass over the train split. Losses are those of `trainer.heads`, averaged by example weight."""

    loss: float
    """The mean loss of the steps' batches, with dropout and while the weights were changing."""
    eval_loss: float
    eval_auc: float | None
    """The AUC of the first label; None unless it has two classes."""
    seconds: float
    """The time of the pass, without the evaluation."""

    @property
    def score(self) -> float:
        """The objective of training, higher is better: the AUC, or the negated loss without an AUC."""
        return -self.eval_loss if self.eval_auc is None else self.eval_auc

    @property
    def metrics(self) -> dict[str, float | None]:
        """The values by name."""
        return dataclasses.asdict(self)


class History(tf.train.experimental.PythonState):  # type: ignore[misc]
    """The epochs so far: the state of the training loop besides weights, saved with them in a checkpoint."""

    def __init__(self) -> None:
        self.epochs: list[Epoch] = []

    @property
    def best(self) -> int:
        """The index of the first epoch with the highest score."""
        return int(np.argmax([epoch.score for epoch in self.epochs]))

    def finished(self, params: TrainParams) -> bool:
        """Whether training has reached its last epoch, or has not improved for `params.patience` epochs."""
        done = len(self.epochs)
        return done >= params.epochs or (done > 0 and done - 1 - self.best >= params.patience)

    def serialize(self) -> str:
        """The epochs as JSON."""
        return json.dumps([epoch.metrics for epoch in self.epochs])

    def deserialize(self, value: str) -> None:
        """Restores the epochs from the JSON of `serialize`."""
        self.epochs = [Epoch(**metrics) for metrics in json.loads(value)]


def fit(
    model: Joint,
    params: TrainParams,
    train: Examples,
    held_out: Examples,
    folder: str,
    on_epoch: Callable[[int, Epoch], None],
    head: Head = _BINARY,
) -> History:
    """Trains a model until it no longer improves on held-out examples, and gives it (on the chief) its best weights.

    If this is killed and called again, with an equal model and equal arguments, training continues after the last
    complete epoch, and reaches the same weights. Under a `tf.distribute` strategy, in whose scope the model must be
    made and this be called, each batch is split among the replicas.

    Args:
        model: the model, with initial weights.
        params: the parameters: epochs, patience, batch size, seed, optimizers.
        train: the examples to learn from.
        held_out: the examples for early stopping.
        folder: a folder for the checkpoints of this training run alone.
        on_epoch: a function that is called with each epoch's index and outcome, including epochs before an
            interruption.
        head: the head, which defines the loss.

    Returns:
        The history of all epochs.

    Raises:
        TrainingError: the loss is not a finite number.
    """
    if model.is_counted:
        return _count(model, train, held_out, on_epoch, head)
    steps = math.ceil(train.rows / params.batch_size)
    optimizer = optimizer_for(model, params, steps)
    optimizer.build(model.trainable_variables)
    average = MovingAverage(model, params.ema)
    history = History()
    # Keras objects alone would leave dropout's random state and the optimizer's slots out of a checkpoint.
    weights = [variable.value for variable in model.variables]
    slots = [*(variable.value for variable in optimizer.variables), *average.variables]
    # All workers must save at the same time, but continue from the same checkpoint, the chief's.
    own = folder if is_chief() else tempfile.mkdtemp(prefix="rankline-worker-")
    last = _checkpoints(os.path.join(own, "last"), weights=weights, slots=slots, history=history)
    best = _checkpoints(os.path.join(own, "best"), weights=weights)
    if latest := tf.train.latest_checkpoint(os.path.join(folder, "last")):
        last.checkpoint.restore(latest).assert_consumed()
        _log.info("going on after epoch %d, from %s", len(history.epochs), latest)
        for index, epoch in enumerate(history.epochs):
            on_epoch(index, epoch)

    run_steps = stepper(model, optimizer, average, params, head)
    evaluate = _evaluator(model, held_out, head)
    dataset = tf.data.Dataset.range(len(history.epochs), params.epochs).flat_map(
        lambda epoch: train.shuffled(params.batch_size, tf.stack([params.seed, epoch]))
    )
    batches = iter(tf.distribute.get_strategy().experimental_distribute_dataset(dataset))
    while not history.finished(params):
        start = time.monotonic()
        total = sum(
            float(run_steps(batches, tf.constant(min(_STEPS_AT_ONCE, steps - done))))
            for done in range(0, steps, _STEPS_AT_ONCE)
        )
        seconds = round(time.monotonic() - start, 3)
        with average.in_place():
            epoch = Epoch(total / steps, *evaluate(), seconds)
            if not math.isfinite(epoch.loss + epoch.eval_loss):
                raise TrainingError(
                    f"epoch {len(history.epochs) + 1}: expected a finite loss, received {epoch.loss} in training and "
                    f"{epoch.eval_loss} on the eval split; lower the learning rates, or look for extreme values in "
                    "numeric features and consider 'log1p' for them"
                )
            history.epochs.append(epoch)
            on_epoch(len(history.epochs) - 1, epoch)
            better = history.best == len(history.epochs) - 1
            if better:
                best.save()
        if not better and isinstance(params.schedule, Plateau):
            _slow_down(optimizer, params.schedule.factor)
        last.save()
    if own == folder:
        best.checkpoint.restore(best.latest_checkpoint).assert_consumed()
    else:
        shutil.rmtree(own)
    return history


def remove_checkpoints(folder: str) -> None:
    """Removes the checkpoints of `fit`, if any; first their state file, so that `fit` never continues from a part."""
    state = os.path.join(folder, "last", "checkpoint")
    for path, remove in ((state, tf.io.gfile.remove), (folder, tf.io.gfile.rmtree)):
        if tf.io.gfile.exists(path):
            remove(path)


def _count(
    model: Joint, train: Examples, held_out: Examples, on_epoch: Callable[[int, Epoch], None], head: Head
) -> History:
    """Does the work of `fit` for a counted model, in one epoch."""
    start = time.monotonic()
    model.count(train, held_out)
    seconds = round(time.monotonic() - start, 3)
    loss, _ = _evaluator(model, train, head)()
    history = History()
    history.epochs.append(Epoch(loss, *_evaluator(model, held_out, head)(), seconds))
    on_epoch(0, history.epochs[0])
    return history


class MovingAverage:
    """An exponential moving average of a model's trainable weights, after each step::

        average ← momentum · average + (1 - momentum) · weight

    Args:
        model: the model, with initial weights.
        momentum: the momentum, 0.99 to 0.9999; None for no average, in which case all methods do nothing.
    """

    def __init__(self, model: Joint, momentum: float | None) -> None:
        self._momentum = momentum or 0.0
        self._weights = [variable.value for variable in model.trainable_variables] if momentum else []
        self.variables = [tf.Variable(weight, trainable=False) for weight in self._weights]

    def update(self) -> None:
        """Adds the current weights to the average."""
        for average, weight in zip(self.variables, self._weights, strict=True):
            average.assign_sub((1 - self._momentum) * (average - weight))

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Replaces the model's weights by their averages inside the block."""
        weights = [weight.numpy() for weight in self._weights]
        for weight, average in zip(self._weights, self.variables, strict=True):
            weight.assign(average)
        yield
        for weight, value in zip(self._weights, weights, strict=True):
            weight.assign(value)


def optimizer_for(model: Joint, params: TrainParams, steps: int) -> keras.optimizers.Optimizer:
    """An optimizer that updates the wide part by `params.wide_optimizer` and all other weights by `deep_optimizer`.

    Args:
        model: the model.
        params: the parameters of the optimizers and the schedule of their rates.
        steps: the number of steps of an epoch.
    """
    wide, deep = (
        _optimizer(optimizer, _rate(optimizer.learning_rate, params, steps))
        for optimizer in (params.wide_optimizer, params.deep_optimizer)
    )
    of_wide_part = {id(variable) for variable in model.wide_variables}
    return keras.optimizers.MultiOptimizer(lambda variable: wide if id(variable) in of_wide_part else deep)


def _optimizer(params: Ftrl | Adagrad | Adam, rate: optimizers.Rate) -> keras.optimizers.Optimizer:
    if isinstance(params, Ftrl):
        return optimizers.Ftrl(
            learning_rate=rate,
            initial_accumulator_value=params.initial_accumulator,
            l1_regularization_strength=params.l1,
            l2_regularization_strength=params.l2,
        )
    if isinstance(params, Adagrad):
        return optimizers.Adagrad(learning_rate=rate, initial_accumulator_value=params.initial_accumulator)
    return optimizers.Adam(learning_rate=rate, lazy=params.lazy)


def _rate(rate: float, params: TrainParams, steps: int) -> optimizers.Rate:
    if not isinstance(params.schedule, Cosine):
        return rate
    warmup = round(params.schedule.warmup_epochs * steps)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=rate / warmup if warmup else rate,  # FTRL does not allow a rate of 0
        decay_steps=max(1, params.epochs * steps - warmup),
        warmup_target=rate if warmup else None,
        warmup_steps=warmup,
    )


def _slow_down(optimizer: keras.optimizers.MultiOptimizer, factor: float) -> None:
    for each in optimizer.optimizers:
        each.learning_rate = each.learning_rate * factor
        if isinstance(each, optimizers.Ftrl):
            each.keep_weights()


def _checkpoints(folder: str, **trackables: object) -> tf.train.CheckpointManager:
    """A manager that keeps the latest checkpoint only."""
    return tf.train.CheckpointManager(tf.train.Checkpoint(**trackables), folder, max_to_keep=1)


def stepper(
    model: Joint,
    optimizer: keras.optimizers.Optimizer,
    average: MovingAverage,
    params: TrainParams,
    head: Head = _BINARY,
) -> Callable[[Iterator[Batch], tf.Tensor], tf.Tensor]:
    """A function that trains on a number of batches, each split among the strategy's replicas, and returns the sum of
    their losses.
    """
    strategy = tf.distribute.get_strategy()
    variables = model.trainable_variables
    regularised = {id(table): params.deep_optimizer for table in model.embedding_tables}
    if not isinstance(params.wide_optimizer, Ftrl):
        regularised |= {id(table): params.wide_optimizer for table in model.wide_tables}

    def step(features: Mapping[str, tf.Tensor], label: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        """This replica's share of a batch's mean loss."""
        replicas = tf.distribute.get_replica_context()
        whole_weight = replicas.all_reduce(tf.distribute.ReduceOp.SUM, tf.reduce_sum(weight))
        with tf.GradientTape() as tape:
            losses = head.training_losses(label, lambda classes: model(features, classes, training=True))
            loss = tf.math.divide_no_nan(tf.reduce_sum(weight * losses), whole_weight)
        gradients = [sum_over_replicas(gradient) for gradient in tape.gradient(loss, variables)]
        if params.embedding_l2:
            gradients = [
                penalised(gradient, variable, params.embedding_l2, regularised[id(variable)])
                if id(variable) in regularised
                else gradient
                for gradient, variable in zip(gradients, variables, strict=True)
            ]
        if params.clip_norm:
            gradients, _ = tf.clip_by_global_norm(list(map(optimizers.distinct, gradients)), params.clip_norm)
        optimizer.apply(gradients, variables)
        return loss

    def run_steps(batches: Iterator[Batch], steps: tf.Tensor) -> tf.Tensor:
        total = 0.0
        for _ in tf.range(steps):
            total += strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(step, args=next(batches)), axis=None)
            average.update()
        return total

    compiled: Callable[[Iterator[Batch], tf.Tensor], tf.Tensor] = tf.function(run_steps)
    return compiled


def penalised(
    gradient: tf.IndexedSlices, table: keras.Variable, l2: float, optimizer: Ftrl | Adagrad | Adam
) -> optimizers.Gradient:
    """The gradient of a table plus that of the penalty l2 / 2 · Σw². The sum is over the rows in the gradient, or over
    all rows if the optimizer updates all.
    """
    if isinstance(optimizer, Adam) and not optimizer.lazy:
        return tf.convert_to_tensor(gradient) + l2 * table.value
    rows, values = optimizers.sum_by_row(gradient)
    return tf.IndexedSlices(values + l2 * tf.gather(table.value, rows), rows, gradient.dense_shape)


def _evaluator(model: Joint, examples: Examples, head: Head) -> Callable[[], tuple[float, float | None]]:
    """A function that returns the model's mean loss and AUC on the examples."""
    batches = examples.in_order(_EVAL_ROWS)

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def judge(features: Mapping[str, tf.Tensor], labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The loss, the first logit and the first label of each row, float32 [batch]."""
        logits = model(features, training=False)
        return head.losses(labels, logits), logits[:, 0], labels if labels.shape.rank == 1 else labels[:, 0]

    def evaluate() -> tuple[float, float | None]:
        judged = [(*judge(features, labels), weight) for features, labels, weight in batches]
        losses, logit, label, weight = (
            np.concatenate(values).astype(np.float64) for values in zip(*judged, strict=True)
        )
        loss = float(np.average(losses, weights=weight))
        if not head.has_auc:
            return loss, None
        if not np.isfinite(logit).all():
            return math.nan, math.nan
        return loss, auc(label, logit, weight)

    return evaluate
