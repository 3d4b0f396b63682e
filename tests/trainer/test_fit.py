"""Early stopping, checkpoints, equal seeds, and an interrupted run that goes on."""

from __future__ import annotations

import math
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from schema.feature_spec import LABEL, WEIGHT
from trainer import fit as loop
from trainer import models, optimizers
from trainer.fit import Epoch, History, TrainingError, fit, optimizer_for
from trainer.input_columns import InputColumn
from trainer.inputs import InMemoryExamples
from trainer.models.joint import Joint
from trainer.params import Adagrad, Adam, Ftrl, TrainParams

COLUMNS = (
    InputColumn("user", "categorical", ("wide", "deep"), size=20, width=4, table="user"),
    InputColumn("item", "categorical", ("wide", "deep"), size=30, width=4, table="item"),
    InputColumn("tags", "multivalent", ("wide", "deep"), size=5, width=4, table="tags", combiner="mean"),
    InputColumn("age", "numeric", ("deep",)),
)
PARAMS = TrainParams(epochs=4, patience=10, batch_size=64, hidden_units=(8,), dropout=0.5)


def examples(rows: int, seed: int, weight: float = 1.0) -> InMemoryExamples:
    """Random rows whose label depends on item and age."""
    random = np.random.default_rng(seed)
    item, age = random.integers(30, size=rows), random.normal(size=rows)
    label = (item % 5 - 2 + age + random.normal(size=rows) > 0).astype(np.float32)
    tags = [random.integers(5, size=size).tolist() for size in random.integers(3, size=rows)]
    return InMemoryExamples(
        {
            "user": tf.constant(random.integers(20, size=rows)),
            "item": tf.constant(item),
            "tags": tf.ragged.constant(tags, tf.int64),
            "age": tf.constant(age, tf.float32),
            LABEL: tf.constant(label),
            WEIGHT: tf.fill([rows], weight),
        }
    )


TRAIN, HELD_OUT = examples(500, seed=1), examples(200, seed=2)


class Killed(BaseException):
    pass


def train(
    folder: Path, params: TrainParams = PARAMS, kill_after: int = 0, held_out: InMemoryExamples = HELD_OUT
) -> tuple[Joint, History, list[tuple[int, Epoch]]]:
    """Trains a new model; `kill_after` so many epochs, before the last of them is saved."""
    keras.utils.set_random_seed(params.seed)
    model = models.build(COLUMNS, params)
    seen: list[tuple[int, Epoch]] = []

    def on_epoch(index: int, epoch: Epoch) -> None:
        seen.append((index, epoch))
        if len(seen) == kill_after:
            raise Killed

    return model, fit(model, params, TRAIN, held_out, str(folder), on_epoch), seen


def metrics(history: History) -> list[tuple[float, float, float]]:
    return [(epoch.loss, epoch.eval_loss, epoch.eval_auc) for epoch in history.epochs]


def weights(model: Joint) -> list[list]:
    return [variable.numpy().tolist() for variable in model.variables]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Joint, History, list[tuple[int, Epoch]]]:
    return train(tmp_path_factory.mktemp("undisturbed"))


def test_it_learns(undisturbed) -> None:
    _, history, seen = undisturbed
    assert seen == list(enumerate(history.epochs))
    assert len(history.epochs) == PARAMS.epochs
    assert history.epochs[-1].loss < history.epochs[0].loss
    assert history.epochs[history.best].eval_auc > 0.7


def test_equal_seeds_give_equal_models(undisturbed, tmp_path: Path) -> None:
    model, history, _ = train(tmp_path)
    assert metrics(history) == metrics(undisturbed[1])
    assert weights(model) == weights(undisturbed[0])


def test_another_seed_gives_another_model(undisturbed, tmp_path: Path) -> None:
    _, history, _ = train(tmp_path, PARAMS.model_copy(update={"seed": 1}))
    assert metrics(history) != metrics(undisturbed[1])


def test_a_killed_run_goes_on_and_comes_to_the_same(undisturbed, tmp_path: Path) -> None:
    """Killed in its third epoch, again right after its start, and then left alone."""
    with pytest.raises(Killed):
        train(tmp_path, kill_after=3)
    with pytest.raises(Killed):
        train(tmp_path, kill_after=1)
    model, history, seen = train(tmp_path)
    assert [index for index, _ in seen] == [0, 1, 2, 3]
    assert metrics(history) == metrics(undisturbed[1])
    assert weights(model) == weights(undisturbed[0])


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    model, history, _ = train(tmp_path)
    again, history_again, _ = train(tmp_path)
    assert history_again.epochs == history.epochs
    assert weights(again) == weights(model)


def test_the_best_weights_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With AUCs as given, training stops two epochs after the best, and gives back the best one's weights."""
    aucs = iter([0.6, 0.8, 0.7, 0.8, 0.9])
    monkeypatch.setattr(loop, "_evaluator", lambda model, held_out: lambda: (0.5, next(aucs)))
    params = PARAMS.model_copy(update={"epochs": 9, "patience": 2})
    model, history, _ = train(tmp_path, params)
    assert [epoch.eval_auc for epoch in history.epochs] == [0.6, 0.8, 0.7, 0.8]
    assert history.best == 1

    aucs = iter([0.6, 0.8])
    shorter, _, _ = train(tmp_path / "shorter", params.model_copy(update={"epochs": 2}))
    assert weights(model) == weights(shorter)


@pytest.mark.parametrize(
    ("aucs", "finished"),
    [([], False), ([0.6], False), ([0.6, 0.7, 0.65], False), ([0.7, 0.6, 0.65], True), ([0.1, 0.2, 0.3, 0.4], True)],
)
def test_finished(aucs: list[float], finished: bool) -> None:
    history = History()
    history.epochs = [Epoch(0.5, 0.5, auc, 1.0) for auc in aucs]
    assert history.finished(TrainParams(epochs=4, patience=2)) is finished
    restored = History()
    restored.deserialize(history.serialize())
    assert restored.epochs == history.epochs


def test_the_eval_metrics_are_weighted_means() -> None:
    """Logits 0, ln 3, -ln 3 with labels 1, 0, 0 and weights 1, 1, 2.

    -ln P: ln 2, ln 4, and ln 4/3 twice: (0.693147 + 1.386294 + 2 · 0.287682) / 4 = 0.663701. The positive beats the
    third row, weight 2, and not the second, weight 1: AUC 2 / 3.
    """
    rows = InMemoryExamples(
        {
            "x": tf.constant([0.0, math.log(3), -math.log(3)]),
            LABEL: tf.constant([1.0, 0.0, 0.0]),
            WEIGHT: tf.constant([1.0, 1.0, 2.0]),
        }
    )
    evaluate = loop._evaluator(lambda features, training: features["x"][:, tf.newaxis], rows)
    np.testing.assert_allclose(evaluate(), (0.663701, 2 / 3), rtol=1e-5)


def test_a_constant_weight_changes_nothing(undisturbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "TRAIN", examples(500, seed=1, weight=1000.0))
    _, history, _ = train(tmp_path)
    np.testing.assert_allclose(metrics(history), metrics(undisturbed[1]), rtol=1e-3)


def test_an_infinite_loss_is_refused(tmp_path: Path) -> None:
    params = PARAMS.model_copy(update={"deep_optimizer": Adam(learning_rate=1e38)})
    with pytest.raises(TrainingError, match=r"epoch 1: expected a finite loss, received .*lower the learn"):
        train(tmp_path, params)


def test_each_part_has_its_optimizer() -> None:
    """After one step of the wide part's FTRL and the deep part's AdaGrad, each has moved by its own rate."""
    params = TrainParams(
        hidden_units=(2,),
        wide_optimizer=Ftrl(learning_rate=0.5, initial_accumulator=1.0, l1=0.25, l2=0.0),
        deep_optimizer=Adagrad(learning_rate=0.1, initial_accumulator=0.0),
    )
    model = models.build(COLUMNS, params)
    optimizer = optimizer_for(model, params, steps=10)
    optimizer.build(model.trainable_variables)
    before = {id(variable): variable.numpy() for variable in model.trainable_variables}
    optimizer.apply([tf.fill(variable.shape, 2.0) for variable in model.trainable_variables])
    wide = {id(variable) for variable in model.wide_variables}
    assert wide
    for variable in model.trainable_variables:
        # FTRL from w = 0: z = 2, n = 5: w = -(2 - 0.25) / (√5 / 0.5) = -0.391312. AdaGrad: -0.1 · 2 / √4 = -0.1.
        expected = -0.391312 if id(variable) in wide else -0.1
        np.testing.assert_allclose(variable.numpy() - before[id(variable)], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "expected"),
    [(Adam(learning_rate=0.25), optimizers.Adam), (Adagrad(learning_rate=0.25), optimizers.Adagrad)],
)
def test_the_deep_optimizer_is_chosen_by_name(given: Adam | Adagrad, expected: type) -> None:
    params = TrainParams(model="deep", hidden_units=(2,), deep_optimizer=given)
    model = models.build(COLUMNS, params)
    optimizer = optimizer_for(model, params, steps=10)
    optimizer.build(model.trainable_variables)
    (chosen,) = optimizer.optimizers
    assert isinstance(chosen, expected)
    assert float(chosen.learning_rate) == 0.25
