"""The Tuner component's function on a small dataset, as TFX calls it."""

from __future__ import annotations

import json
import logging
import math
import re
from pathlib import Path

import pytest
from keras_tuner.errors import FatalError
from tfx.components.trainer.fn_args_utils import FnArgs

from trainer import tune
from trainer.fit import TrainingError
from trainer.params import TrainParams
from trainer.search_space import SearchParams, chosen
from trainer.task import run_fn

PARAMS = TrainParams(model="deep", epochs=2, batch_size=64, hidden_units=(4,), dropout=0.0)
SPACE = {
    "deep_optimizer.learning_rate": {"min": 0.001, "max": 0.03, "scale": "log"},
    "hidden_units": [[4], [8, 4]],
    "patience": {"min": 1, "max": 3},
}


class Killed(BaseException):
    pass


@pytest.fixture
def fn_args(toy, tmp_path: Path):
    """Arguments of a search of so many trials."""

    def make(trials: int = 3, algorithm: str = "random", params: TrainParams = PARAMS, **space: object) -> FnArgs:
        search = SearchParams.model_validate({"trials": trials, "algorithm": algorithm, "space": space or SPACE})
        return toy.fn_args(tmp_path / "output", tmp_path / "work", params, search=search.model_dump_json())

    return make


def finished(args: FnArgs) -> tune.Search:
    found = tune.tuner_fn(args)
    found.tuner.search(**found.fit_kwargs)
    return found.tuner


def outcomes(search: tune.Search) -> dict[str, float]:
    """A trial's values, as JSON -> its AUC."""
    return {json.dumps(trial.hyperparameters.values): trial.score for trial in search.oracle.trials.values()}


@pytest.mark.parametrize("algorithm", ["bayesian", "random", "grid"])
def test_the_best_of_the_trials_is_chosen(fn_args, algorithm: str) -> None:
    search = finished(fn_args(3, algorithm))
    by_values = outcomes(search)
    assert len(by_values) == 3
    best = search.get_best_hyperparameters()[0].values
    assert by_values[json.dumps(best)] == max(by_values.values())
    for values in map(json.loads, by_values):
        assert 0.001 <= values["deep_optimizer.learning_rate"] <= 0.03
        assert values["hidden_units"] in ("[4]", "[8, 4]")
        assert values["patience"] in (1, 2, 3)


def test_a_trial_is_the_training_that_the_trainer_would_make(toy, fn_args, tmp_path: Path) -> None:
    args = fn_args(1)
    search = finished(args)
    (trial,) = search.oracle.trials.values()
    args.hyperparameters = trial.hyperparameters.get_config()
    run_fn(args)
    history = json.loads((tmp_path / "output" / "history.json").read_text())
    assert max(epoch["eval_auc"] for epoch in history["epochs"]) == trial.score


def test_a_killed_search_goes_on(fn_args, monkeypatch, caplog) -> None:
    """The second trial is killed after its first epoch: neither the first trial nor that epoch is made once more."""
    whole = outcomes(finished(fn_args(3, params=PARAMS.model_copy(update={"seed": 1}))))
    trials = 0

    def kill(index: int, epoch: object) -> None:
        nonlocal trials
        trials += index == 0
        if trials == 2 and index == 1:
            raise Killed

    args = fn_args(3, params=PARAMS.model_copy(update={"seed": 1, "memory_mb": 5}))
    with monkeypatch.context() as patch:
        patch.setattr(tune, "_ignore", kill)
        with pytest.raises(Killed):
            finished(args)
    with caplog.at_level(logging.INFO, logger="trainer"):
        found = finished(args)
    assert caplog.text.count("going on after epoch 1") == 1
    assert len(re.findall(r"trial \d+: .* on eval", caplog.text)) == 2
    assert outcomes(found) == whole
    assert not list(Path(found.project_dir).glob("checkpoints-*"))


def test_more_trials_of_a_search_go_on_after_those_that_were_made(fn_args, caplog) -> None:
    two = outcomes(finished(fn_args(2)))
    with caplog.at_level(logging.INFO, logger="trainer"):
        three = outcomes(finished(fn_args(3)))
    assert two.items() < three.items()
    assert len(re.findall(r"trial \d+: .* on eval", caplog.text)) == 1


def test_a_trial_that_comes_to_nothing_is_passed_over(fn_args, monkeypatch) -> None:
    fit = tune.fit

    def failing(model: object, params: TrainParams, *args: object) -> object:
        if params.hidden_units == (8, 4):
            raise TrainingError("loss is nan")
        return fit(model, params, *args)

    monkeypatch.setattr(tune, "fit", failing)
    search = finished(fn_args(2, "grid", hidden_units=[[8, 4], [4]]))
    assert chosen(search.get_best_hyperparameters()[0].values) == {"hidden_units": [4]}


def test_a_search_without_any_outcome(fn_args, monkeypatch) -> None:
    def failing(*args: object) -> object:
        raise TrainingError(f"loss is {math.nan}")

    monkeypatch.setattr(tune, "fit", failing)
    with pytest.raises(TrainingError, match="tune: expected at least one trial to end with a finite loss"):
        finished(fn_args(2))


def test_what_every_trial_would_meet_ends_the_search(fn_args) -> None:
    with pytest.raises(FatalError, match="received 'depe'; did you mean 'deep'"):
        finished(fn_args(2, params=PARAMS.model_copy(update={"model": "depe"})))
