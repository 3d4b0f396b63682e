"""Trains the models of a comparison and judges each on the same rows."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components.evaluation.answers import Floats, Ints
from pipeline.jobs.compare import metrics
from pipeline.jobs.compare.data import Columns, ComparedData, RankedLists
from trainer import calibration, models
from trainer.auc import auc
from trainer.fit import Epoch, fit
from trainer.models.candidates import Candidates
from trainer.models.joint import Joint
from trainer.params import TrainParams

FAMILIARITY = ("never", "rarely", "often")
"""How often the subject of a row was seen in training: not at all, in fewer than `OFTEN` rows, or in more."""
OFTEN = 10
LIST_LENGTH = 10


@dataclass(frozen=True)
class Trained:
    """One model with one seed.

    Attributes:
        metrics: metric -> value over the test split.
        by_familiarity: counted name -> familiarity -> AUC over the rows of that familiarity; NaN without both classes.
        coverage: the share of the items that are in the first `LIST_LENGTH` of any group; None without a ranking.
        novelty: the novelty of the items in these lists, in bits; None without a ranking.
        parameters: the number of weights.
        rows_per_second: the speed of training, without evaluations.
        epochs: the number of epochs until the best one.
    """

    metrics: Mapping[str, float]
    by_familiarity: Mapping[str, Mapping[str, float]]
    coverage: float | None
    novelty: float | None
    parameters: int
    rows_per_second: float
    epochs: int


@dataclass
class Comparison:
    """All trainings of a comparison.

    Attributes:
        dataset: the name of the dataset.
        seeds: the seeds, in the order of each model's trainings.
        rows: counted name -> familiarity -> number of test rows.
        models: model -> its trainings, one per seed.
    """

    dataset: str
    seeds: Sequence[int]
    rows: Mapping[str, Mapping[str, int]]
    models: dict[str, list[Trained]] = field(default_factory=dict)


def compare(
    dataset: str,
    data: ComparedData,
    params: Mapping[str, TrainParams],
    seeds: Sequence[int],
    on_start: Callable[[str, int], None],
    on_end: Callable[[], None],
) -> Comparison:
    """Trains each model with each seed, all on the same examples.

    Args:
        dataset: the name of the dataset.
        data: the rows to train and judge on.
        params: model -> its parameters, except for the seed; each model is compared with the first.
        seeds: the seeds; two or more are needed to tell a difference from chance.
        on_start: called before each training, with model and seed.
        on_end: called after each training.
    """
    rows = {
        name: {kind: int(mask.sum()) for kind, mask in _by_familiarity(counts).items()}
        for name, counts in data.seen.items()
    }
    comparison = Comparison(dataset, seeds, rows)
    for name, of_model in params.items():
        comparison.models[name] = []
        for seed in seeds:
            on_start(name, seed)
            comparison.models[name].append(_train(data, of_model.model_copy(update={"seed": seed})))
            on_end()
    return comparison


def _train(data: ComparedData, params: TrainParams) -> Trained:
    keras.utils.set_random_seed(params.seed)
    model = models.build(data.columns, params)
    with tempfile.TemporaryDirectory(prefix="rankline-compare-") as folder:
        history = fit(model, params, data.train, data.held_out, folder, _ignore)
    score = tf.function(lambda columns: tf.squeeze(model(columns, training=False), axis=1), reduce_retracing=True)
    logits = np.concatenate([_scores(score, model, columns) for columns in data.test])
    if params.calibration != "none":
        calibrate = calibration.fitted(params.calibration, model, data.held_out)
        logits = calibrate(tf.constant(logits, tf.float32)).numpy().astype(np.float64)
    lists = _best(model, data.lists) if data.lists else None
    return Trained(
        metrics=data.judged.metrics(logits),
        by_familiarity={
            name: {
                kind: auc(data.judged.labels[mask], logits[mask], data.judged.weights[mask])
                for kind, mask in _by_familiarity(counts).items()
            }
            for name, counts in data.seen.items()
        },
        coverage=metrics.coverage(lists, len(data.lists.shown)) if lists and data.lists else None,
        novelty=metrics.novelty(lists, data.lists.shown) if lists and data.lists else None,
        parameters=sum(math.prod(variable.shape) for variable in model.trainable_variables),
        rows_per_second=data.train.rows * len(history.epochs) / sum(epoch.seconds for epoch in history.epochs),
        epochs=history.best + 1,
    )


def _ignore(index: int, epoch: Epoch) -> None:
    pass


def _by_familiarity(counts: Ints) -> dict[str, Any]:
    """Familiarity -> the mask of its rows, bool [rows]."""
    return dict(zip(FAMILIARITY, (counts == 0, (counts > 0) & (counts < OFTEN), counts >= OFTEN), strict=True))


def _scores(score: Callable[[Columns], tf.Tensor], model: Joint, columns: Columns) -> Floats:
    logits: Floats = score({column.name: columns[column.name] for column in model.columns}).numpy().astype(np.float64)
    return logits


def _best(model: Joint, lists: RankedLists) -> list[Ints]:
    """The first `LIST_LENGTH` items of each list."""

    def score(features: Columns, rows: tf.Tensor) -> tf.Tensor:
        return tf.squeeze(model.ranked(Candidates(features, rows)), axis=1)

    score = tf.function(score, reduce_retracing=True)
    return [
        np.argsort(-score(dict(each.features), each.rows).numpy(), kind="stable")[:LIST_LENGTH]
        for each in lists.candidates
    ]
