"""Rankline, with its optimizers' defaults."""

from __future__ import annotations

import itertools
from importlib.metadata import version
from typing import Any

import keras
import numpy.typing as npt
import tensorflow as tf

from pipeline.bench.sides.worker import Job, Rows, Side, serve
from schema.feature_spec import LABEL, WEIGHT
from trainer import fit, models
from trainer.input_columns import InputColumn
from trainer.inputs import InMemoryExamples
from trainer.params import TrainParams


class Rankline(Side):
    """Takes the step of `trainer.fit`."""

    def __init__(self, job: Job, rows: Rows) -> None:
        ids = [
            InputColumn(f"C{column}", "categorical", ("wide", "deep"), size, job.width, table=f"C{column}")
            for column, size in enumerate(job.sizes)
        ]
        numbers = [InputColumn(f"I{column}", "numeric", ("wide", "deep")) for column in range(rows.numbers.shape[1])]
        params = TrainParams.model_validate(
            {
                "model": job.model,
                "batch_size": job.batch_size,
                "hidden_units": job.hidden_units,
                "cross_layers": job.cross_layers,
                "dropout": 0.0,
                "precision": job.precision,
            }
        )
        keras.utils.set_random_seed(params.seed)
        self._model = models.build([*ids, *numbers], params)
        batches_per_pass = len(rows.labels) // job.batch_size
        optimizer = fit.optimizer_for(self._model, params, batches_per_pass)
        optimizer.build(self._model.trainable_variables)
        self._run_steps = fit.stepper(self._model, optimizer, fit.MovingAverage(self._model, params.ema), params)
        self._examples = InMemoryExamples(
            {**_columns(rows), LABEL: tf.constant(rows.labels), WEIGHT: tf.ones(len(rows.labels))}
        )
        self._batch_size = job.batch_size
        self._batches = iter(self._examples.in_order(job.batch_size).take(batches_per_pass).cache().repeat())

    def train(self, steps: int) -> None:
        float(self._run_steps(self._batches, tf.constant(steps)))

    def predict(self, rows: Rows) -> npt.NDArray[Any]:
        scores: npt.NDArray[Any] = self._model(_columns(rows)).numpy().ravel()
        return scores

    def read(self, batches: int) -> None:
        for _ in itertools.islice(self._examples.shuffled(self._batch_size, tf.constant([0, 0], tf.int64)), batches):
            pass


def _columns(rows: Rows) -> dict[str, tf.Tensor]:
    columns = {f"C{index}": tf.constant(column) for index, column in enumerate(rows.ids.T)}
    return columns | {f"I{index}": tf.constant(column) for index, column in enumerate(rows.numbers.T)}


if __name__ == "__main__":
    serve(Rankline, version("rankline"))
