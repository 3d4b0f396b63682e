"""Early stopping, checkpoints, equal seeds, and an interrupted run that continues."""

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
from trainer.fit import Epoch, History, MovingAverage, TrainingError, fit, optimizer_for
from trainer.heads import Logistic
from trainer.input_columns import InputColumn
from trainer.inputs import InMemoryExamples
from trainer.models.joint import Joint
from trainer.params import Adagrad, Adam, Cosine, Ftrl, Plateau, TrainParams

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
    monkeypatch.setattr(loop, "_evaluator", lambda *_: lambda: (0.5, next(aucs)))
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
    evaluate = loop._evaluator(lambda features, training: features["x"][:, tf.newaxis], rows, Logistic())
    np.testing.assert_allclose(evaluate(), (0.663701, 2 / 3), rtol=1e-5)


def test_a_constant_weight_changes_nothing(undisturbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "TRAIN", examples(500, seed=1, weight=1000.0))
    _, history, _ = train(tmp_path)
    np.testing.assert_allclose(metrics(history), metrics(undisturbed[1]), rtol=1e-3)


def test_rows_that_do_not_count_may_fill_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """128 rows, of which one has a weight above 0, in batches of 64: of one batch the mean loss is that of no row."""
    rows = examples(128, seed=1)
    weight = tf.concat([[1.0], tf.zeros([127])], axis=0)
    monkeypatch.setitem(globals(), "TRAIN", InMemoryExamples({**rows._columns, WEIGHT: weight}))
    model, history, _ = train(tmp_path, PARAMS.model_copy(update={"epochs": 1}))
    assert 0 < history.epochs[0].loss < 1
    assert all(np.isfinite(variable.numpy()).all() for variable in model.trainable_variables)


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


# The options of training.


def rates(optimizer: keras.optimizers.MultiOptimizer) -> list[float]:
    return sorted(float(each.learning_rate) for each in optimizer.optimizers)


def test_on_a_plateau_all_rates_fall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each epoch that is not the best, by a tenth; killed and resumed, the rates are those of the checkpoint."""
    aucs = [0.6, 0.5, 0.7, 0.65, 0.64]
    optimizers_seen = []
    original = loop.optimizer_for

    def remembered(*arguments: object) -> object:
        optimizers_seen.append(original(*arguments))
        return optimizers_seen[-1]

    monkeypatch.setattr(loop, "optimizer_for", remembered)
    schedule = {"wide_optimizer": Ftrl(learning_rate=0.5), "deep_optimizer": Adam(learning_rate=0.25)}
    params = PARAMS.model_copy(update={**schedule, "schedule": Plateau(factor=0.1), "epochs": 5})

    upcoming = iter(aucs)
    monkeypatch.setattr(loop, "_evaluator", lambda *_: lambda: (0.5, next(upcoming)))
    with pytest.raises(Killed):
        train(tmp_path, params, kill_after=4)
    np.testing.assert_allclose(rates(optimizers_seen[-1]), [0.025, 0.05])
    upcoming = iter(aucs[3:])
    train(tmp_path, params)
    np.testing.assert_allclose(rates(optimizers_seen[-1]), [0.25e-3, 0.5e-3], rtol=1e-5)


@pytest.mark.parametrize(
    ("warmup", "step", "expected"),
    [
        # 2 epochs of 10 steps, from 0.4 along half a cosine: (1 + cos(π · 5 / 20)) / 2 = 0.853553.
        (0.0, 0, 0.4), (0.0, 5, 0.4 * 0.853553), (0.0, 10, 0.2), (0.0, 20, 0.0),
        # Half an epoch of warm-up: from 0.4 / 5 in 5 steps to 0.4; then 15 steps of cosine.
        (0.5, 0, 0.08), (0.5, 2, 0.208), (0.5, 5, 0.4), (0.5, 20, 0.0),
    ],
)  # fmt: skip
def test_cosine(warmup: float, step: int, expected: float) -> None:
    params = TrainParams(
        model="deep", epochs=2, hidden_units=(2,), deep_optimizer=Adam(learning_rate=0.4),
        schedule=Cosine(warmup_epochs=warmup),
    )  # fmt: skip
    model = models.build(COLUMNS, params)
    optimizer = optimizer_for(model, params, steps=10)
    optimizer.build(model.trainable_variables)
    optimizer.optimizers[0].iterations.assign(step)
    np.testing.assert_allclose(optimizer.optimizers[0].learning_rate, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        # 0.1 + 0.2 + 0.01 · 1, nothing, 0.5 + 0.01 · 3.
        (Adam(), [[0.31], [0], [0.53]]),
        (Adagrad(), [[0.31], [0], [0.53]]),
        # The second row has 0.01 · 2.
        (Adam(lazy=False), [[0.31], [0.02], [0.53]]),
    ],
)
def test_l2_is_on_the_rows_that_move(optimizer: Adam | Adagrad, expected: list[list[float]]) -> None:
    """A table of 3 rows; rows 0 (twice) and 2 have gradients."""
    table = keras.Variable([[1.0], [2.0], [3.0]])
    gradient = tf.IndexedSlices([[0.1], [0.2], [0.5]], [0, 0, 2], [3, 1])
    found = loop.penalised(gradient, table, 0.01, optimizer)
    np.testing.assert_allclose(tf.convert_to_tensor(found), expected, rtol=1e-6)


def test_the_tables_of_each_part() -> None:
    model = models.build(COLUMNS, TrainParams(hidden_units=(2,)))
    assert [variable.shape for variable in model.embedding_tables] == [(20 + 30 + 5, 4)]
    assert [variable.shape for variable in model.wide_tables] == [(20 + 30 + 5, 1)]
    assert {id(table) for table in model.wide_tables} <= {id(variable) for variable in model.wide_variables}


@pytest.mark.parametrize(("optimizer", "penalised"), [(Adam(), True), (Adagrad(), True), (Ftrl(l1=0.0), False)])
def test_l2_of_the_wide_part(tmp_path: Path, optimizer: Adam | Adagrad | Ftrl, penalised: bool) -> None:
    """FTRL's is its own."""
    weights_of_ids = []
    for l2 in (0.0, 1.0):
        params = PARAMS.model_copy(
            update={"model": "wide", "wide_optimizer": optimizer, "embedding_l2": l2, "epochs": 2}
        )
        model, _, _ = train(tmp_path / str(l2), params)
        (table,) = model.wide_tables
        weights_of_ids.append(float(tf.norm(table.value)))
    assert weights_of_ids[0] > 0
    if penalised:
        assert weights_of_ids[1] < weights_of_ids[0] * 0.9
    else:
        assert weights_of_ids[1] == weights_of_ids[0]


def test_l2_makes_embeddings_small(undisturbed, tmp_path: Path) -> None:
    penalised, _, _ = train(tmp_path, PARAMS.model_copy(update={"embedding_l2": 1.0}))
    norms = [float(tf.norm(model.embedding_tables[0].value)) for model in (penalised, undisturbed[0])]
    assert norms[0] < norms[1] / 2


def test_gradients_are_clipped_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that the optimizer is given has the norm of the limit, where the gradients' own is above it.

    20 users and 64 rows: nearly each user's row in a table is there several times, and its gradient is their sum.
    """
    norms = []
    original = keras.optimizers.MultiOptimizer.apply

    def apply(self: object, gradients: list, variables: list) -> None:
        norm = tf.linalg.global_norm([tf.convert_to_tensor(gradient) for gradient in gradients])
        tf.py_function(lambda norm: norms.append(float(norm)), [norm], [])
        original(self, gradients, variables)

    monkeypatch.setattr(keras.optimizers.MultiOptimizer, "apply", apply)
    train(tmp_path / "above", PARAMS.model_copy(update={"clip_norm": 0.001, "epochs": 1}))
    np.testing.assert_allclose(norms, 0.001, rtol=1e-4)
    norms.clear()
    train(tmp_path / "below", PARAMS.model_copy(update={"clip_norm": 1000.0, "epochs": 1}))
    assert min(norms) > 0.001
    assert max(norms) < 10, "gradients below the limit are left as they are"


def test_moving_average() -> None:
    """Momentum 0.75: from (1) to weight 5: 0.75 · 1 + 0.25 · 5 = 2, then to 10: 4."""
    model = models.build(COLUMNS[:1], TrainParams(model="wide"))
    (bias, weights) = model.trainable_variables
    bias.assign([1.0])
    average = MovingAverage(model, 0.75)
    for value, expected in ((5.0, 2.0), (10.0, 4.0)):
        bias.assign([value])
        average.update()
        with average.in_place():
            np.testing.assert_allclose(bias, [expected])
        np.testing.assert_allclose(bias, [value])
    assert weights.shape == (20, 1)


def test_what_is_kept_is_the_average(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a momentum so near 1 that nothing moves, the model stays as it was, and each epoch is judged so."""
    params = PARAMS.model_copy(update={"ema": 1 - 1e-12})
    model, history, _ = train(tmp_path, params)
    keras.utils.set_random_seed(params.seed)
    for variable, initial in zip(
        model.trainable_variables, models.build(COLUMNS, params).trainable_variables, strict=True
    ):
        np.testing.assert_allclose(variable, initial, atol=1e-6)
    assert len({epoch.eval_auc for epoch in history.epochs}) == 1
    assert history.epochs[-1].loss < history.epochs[0].loss


@pytest.mark.parametrize(
    "options",
    [
        {"ema": 0.9},
        {"model": "dcn_v2", "batch_norm": True},
        {"wide_optimizer": Adam(), "deep_optimizer": Ftrl(), "schedule": Cosine(warmup_epochs=0.5)},
        {"deep_optimizer": Adam(lazy=False), "embedding_l2": 1e-3, "clip_norm": 1.0},
    ],
    ids=["ema", "batch_norm", "cosine", "dense"],
)
def test_whatever_the_options_a_killed_run_comes_to_the_same(tmp_path: Path, options: dict) -> None:
    params = PARAMS.model_copy(update={**options, "epochs": 3})
    whole, history, _ = train(tmp_path / "whole", params)
    with pytest.raises(Killed):
        train(tmp_path / "killed", params, kill_after=2)
    resumed, history_again, _ = train(tmp_path / "killed", params)
    assert metrics(history_again) == metrics(history)
    assert weights(resumed) == weights(whole)
