"""The training loop: one joint loss, early stopping by AUC, and a checkpoint per epoch to go on from."""

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
"""Steps run without returning to Python, where an interrupt can take effect."""
_EVAL_ROWS = 8192
"""Batch size of the passes over the eval split."""

_BINARY = Logistic()

_log = logging.getLogger(__name__)


class TrainingError(RanklineError):
    """Training came to nothing."""


@dataclass(frozen=True)
class Epoch:
    """What came of one pass over the train split. Losses are means by example weight of those of `trainer.heads`."""

    loss: float
    """Over the steps' batches, while weights were changing, with dropout."""
    eval_loss: float
    eval_auc: float | None
    """Of the first label; None where it has not two classes."""
    seconds: float
    """Of the pass alone, without the evaluation."""

    @property
    def score(self) -> float:
        """What training is to reach, the higher the better: the AUC, or without one the loss, negated."""
        return -self.eval_loss if self.eval_auc is None else self.eval_auc

    @property
    def metrics(self) -> dict[str, float | None]:
        """By name."""
        return dataclasses.asdict(self)


class History(tf.train.experimental.PythonState):  # type: ignore[misc]
    """The epochs so far; all that the training loop knows besides weights, and saved with them in a checkpoint."""

    def __init__(self) -> None:
        self.epochs: list[Epoch] = []

    @property
    def best(self) -> int:
        """Index of the first epoch with the highest score."""
        return int(np.argmax([epoch.score for epoch in self.epochs]))

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
    head: Head = _BINARY,
) -> History:
    """Trains a model until it gets no better on held-out examples, and leaves it (the chief's) with its best weights.

    Killed and called again, with an equal model and equal arguments, it goes on after the last whole epoch, and
    comes to the same weights. Under a `tf.distribute` strategy, in whose scope the model was made and this is called,
    each batch is shared out among the replicas.

    Args:
        model: with initial weights.
        params: epochs, patience, batch size, seed, optimizers.
        train: examples to learn from.
        held_out: examples to stop by.
        folder: for checkpoints; of this training alone.
        on_epoch: called with each epoch's index and outcome, those before an interruption included.
        head: what the labels are.

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
    # Keras' objects lead a checkpoint to their weights, but not to dropout's random state or an optimizer's slots.
    weights = [variable.value for variable in model.variables]
    slots = [*(variable.value for variable in optimizer.variables), *average.variables]
    # All workers have to save at the same time, and go on from the same checkpoint: the chief's.
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
    """Removes what `fit` has left in its folder, if it has: killed meanwhile, nothing that it would go on from."""
    state = os.path.join(folder, "last", "checkpoint")
    for path, remove in ((state, tf.io.gfile.remove), (folder, tf.io.gfile.rmtree)):
        if tf.io.gfile.exists(path):
            remove(path)


def _count(
    model: Joint, train: Examples, held_out: Examples, on_epoch: Callable[[int, Epoch], None], head: Head
) -> History:
    """What `fit` does for a model that has nothing to train: one epoch, in which it is counted."""
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
        momentum: 0.99 to 0.9999; None for no average, when everything here does nothing.
    """

    def __init__(self, model: Joint, momentum: float | None) -> None:
        self._momentum = momentum or 0.0
        self._weights = [variable.value for variable in model.trainable_variables] if momentum else []
        self.variables = [tf.Variable(weight, trainable=False) for weight in self._weights]

    def update(self) -> None:
        """Takes in the weights as they are."""
        for average, weight in zip(self.variables, self._weights, strict=True):
            average.assign_sub((1 - self._momentum) * (average - weight))

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """While entered, the model's weights are their averages."""
        weights = [weight.numpy() for weight in self._weights]
        for weight, average in zip(self._weights, self.variables, strict=True):
            weight.assign(average)
        yield
        for weight, value in zip(self._weights, weights, strict=True):
            weight.assign(value)


def optimizer_for(model: Joint, params: TrainParams, steps: int) -> keras.optimizers.Optimizer:
    """One optimizer that gives the wide part's weights to `params.wide_optimizer`, all others to `deep_optimizer`.

    Args:
        model: the model.
        params: of the optimizers, and the schedule of their rates.
        steps: of an epoch.
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
        initial_learning_rate=rate / warmup if warmup else rate,  # FTRL knows no rate of 0
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
    """Of the latest state only."""
    return tf.train.CheckpointManager(tf.train.Checkpoint(**trackables), folder, max_to_keep=1)


def stepper(
    model: Joint,
    optimizer: keras.optimizers.Optimizer,
    average: MovingAverage,
    params: TrainParams,
    head: Head = _BINARY,
) -> Callable[[Iterator[Batch], tf.Tensor], tf.Tensor]:
    """A function that trains on so many batches, each shared out among the strategy's replicas, and gives the sum of
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
    """The gradient of a table with that of l2 / 2 · Σw² added: over the rows that it has, or all rows if its optimizer
    moves all.
    """
    if isinstance(optimizer, Adam) and not optimizer.lazy:
        return tf.convert_to_tensor(gradient) + l2 * table.value
    rows, values = optimizers.sum_by_row(gradient)
    return tf.IndexedSlices(values + l2 * tf.gather(table.value, rows), rows, gradient.dense_shape)


def _evaluator(model: Joint, examples: Examples, head: Head) -> Callable[[], tuple[float, float | None]]:
    """A function that gives the model's mean loss and AUC on the examples."""
    batches = examples.in_order(_EVAL_ROWS)

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def judge(features: Mapping[str, tf.Tensor], labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Of each row the loss, the first logit and the first label."""
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
