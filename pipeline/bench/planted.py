"""`rankline bench-planted`: which model finds which effects, on data whose truth is known.

Wide, deep and Wide & Deep are trained in memory on rows of `schema.criteo.generator`: with planted crosses, with
planted low-rank interactions, and with both. The wide part is given the pairs of columns that interact, as an expert on
the data would choose them, but no model is told how they interact.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from rich import box
from rich.table import Table
from scipy import special

from pipeline.jobs.compare.metrics import mean_and_deviation
from schema.criteo.generator import CROSSED, IDS, INTERACTING, LOW_RANK, NUMBERS, Generator, Rows
from schema.feature_spec import LABEL, WEIGHT, Part
from trainer import models
from trainer.fit import fit
from trainer.input_columns import InputColumn
from trainer.inputs import InMemoryExamples
from trainer.params import Adam, Ftrl, TrainParams

MODELS = ("wide", "deep", "wide_deep")
TRUTHS: Mapping[str, tuple[float, float]] = {"crosses": (1.0, 0.0), "low rank": (0.0, 1.0), "both": (1.0, 1.0)}
"""Planted truth -> the standard deviations of a crossed pair's effects and of an interaction's, in the logit."""

_BOTH: tuple[Part, ...] = ("wide", "deep")
_VOCABULARY = 10_000
_BATCH_SIZE = 256
_ROWS = 100_000
"""The number of rows up to which the generator's pairs are unchanged. Above, the number of pairs grows with the rows:
if pairs became more frequent instead, memorising them would suffice, and no model would have to generalise."""
_WIDTH = 8


@dataclass(frozen=True)
class Found:
    """The log losses on test rows.

    Attributes:
        best: the log loss of the true probabilities.
        losses: model -> its log losses, one per seed.
    """

    best: float
    losses: Mapping[str, Sequence[float]]

    def excess(self, model: str) -> list[float]:
        """The excess of a model's log losses over the best one, per seed."""
        return [loss - self.best for loss in self.losses[model]]


def run(
    rows: int,
    seeds: Sequence[int],
    on_training: Callable[[str, str, int], None],
    truths: Sequence[str] = tuple(TRUTHS),
    names: Sequence[str] = MODELS,
) -> dict[str, Found]:
    """Trains models on planted truths.

    Args:
        rows: the number of training rows. A tenth as many rows stop the training, and a fifth as many test it.
        seeds: the seeds of the models; the data is the same for all.
        on_training: a function that is called before each training, with truth, model and seed.
        truths: the truths, keys of `TRUTHS`.
        names: the names of the models.

    Returns:
        Planted truth -> the losses on it.
    """
    found = {}
    more = max(1.0, rows / _ROWS)
    for truth in truths:
        crosses, low_rank = TRUTHS[truth]
        generator = Generator(round(_VOCABULARY * math.sqrt(more)), crosses, low_rank, more_pairs=more)
        columns = _columns(generator.sizes)
        train, held_out = (
            _examples(generator.draw(count, seed), columns) for seed, count in ((1, rows), (2, rows // 10))
        )
        test = generator.draw(rows // 5, 3)
        losses: dict[str, list[float]] = {model: [] for model in names}
        for model in names:
            for seed in seeds:
                on_training(truth, model, seed)
                params = _params(model, seed, batch_size=round(_BATCH_SIZE * math.sqrt(more)))
                losses[model].append(_loss(params, columns, train, held_out, test))
        found[truth] = Found(test.best_logloss, losses)
    return found


def table(found: Mapping[str, Found]) -> Table:
    """A table of the losses beyond the best possible one, in thousandths."""
    shown = Table(
        "planted", "best logloss", *MODELS, box=box.SIMPLE_HEAD, title="Log loss beyond the best, in thousandths"
    )
    for truth, of_truth in found.items():
        cells = []
        for model in MODELS:
            mean, deviation = mean_and_deviation([1000 * excess for excess in of_truth.excess(model)])
            cells.append(f"{mean:.1f} ± {deviation:.1f}" if len(of_truth.losses[model]) > 1 else f"{mean:.1f}")
        shown.add_row(truth, f"{of_truth.best:.4f}", *cells)
    return shown


def _params(model: str, seed: int, batch_size: int) -> TrainParams:
    # Fast and in small batches: no main effect leads to an interaction, and some noise is needed to find it. But larger
    # data must not mean more steps: the wide part would learn all that is easy before the deep part's embeddings have
    # grown, and they would then find nothing to start from.
    return TrainParams(
        model=model,
        seed=seed,
        epochs=30,
        patience=3,
        batch_size=batch_size,
        hidden_units=(64, 32),
        dropout=0.0,
        wide_optimizer=Ftrl(learning_rate=0.1, l1=0.0),
        deep_optimizer=Adam(learning_rate=0.01),
    )


def _loss(
    params: TrainParams, columns: Sequence[InputColumn], train: InMemoryExamples, held_out: InMemoryExamples, test: Rows
) -> float:
    keras.utils.set_random_seed(params.seed)
    model = models.build(columns, params)
    with tempfile.TemporaryDirectory(prefix="rankline-planted-") as folder:
        fit(model, params, train, held_out, folder, lambda index, epoch: None)
    score = tf.function(lambda features: tf.squeeze(model(features, training=False), axis=1))
    logits = np.concatenate(
        [
            score({column.name: features[column.name] for column in model.columns})
            for features, _, _ in _examples(test, columns).in_order(8192)
        ]
    ).astype(np.float64)
    return float(-special.log_expit(np.where(test.label == 1, logits, -logits)).mean())


def _columns(sizes: Mapping[str, int]) -> list[InputColumn]:
    columns = [InputColumn(name, "numeric", _BOTH) for name in NUMBERS]
    columns += [
        InputColumn(name, "categorical", _BOTH, size=sizes[name], width=_WIDTH, table=name) for name in INTERACTING
    ]
    for one, other in (*CROSSED, *LOW_RANK):
        name = f"{one}_x_{other}"
        size = sizes[one] * sizes[other]
        columns.append(InputColumn(name, "categorical", ("wide",), size=size, width=1, table=name))
    return columns


def _examples(rows: Rows, columns: Sequence[InputColumn]) -> InMemoryExamples:
    """Rows as Transform would write them: numbers log1p and scaled, missing ones 0; pairs as one id."""
    ids = dict(zip(IDS, rows.ids.T, strict=True))
    sizes = {column.name: column.size for column in columns}
    features = {
        name: tf.constant(np.nan_to_num(np.log1p(values) - 1.0), tf.float32)
        for name, values in zip(NUMBERS, rows.numbers.T, strict=True)
    }
    features |= {name: tf.constant(values, tf.int64) for name, values in ids.items()}
    for one, other in (*CROSSED, *LOW_RANK):
        features[f"{one}_x_{other}"] = tf.constant(ids[one] * sizes[other] + ids[other], tf.int64)
    features[LABEL] = tf.constant(rows.label, tf.float32)
    features[WEIGHT] = tf.ones(len(rows.label))
    return InMemoryExamples(features)
