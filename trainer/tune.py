"""The entry point of TFX's Tuner: a hyperparameter search with KerasTuner."""

from __future__ import annotations

import hashlib
import json
import logging
import os

import keras
import keras_tuner
import tensorflow_transform as tft
from keras_tuner import errors
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial, TrialStatus
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.components.tuner.component import TunerFnResult

from schema.feature_spec import FeatureSpec
from trainer import models
from trainer.distribution import strategy_for
from trainer.fit import Epoch, TrainingError, fit, remove_checkpoints
from trainer.heads import head_for, units_of
from trainer.input_columns import ids_of, input_columns
from trainer.inputs import Examples
from trainer.params import TrainParams
from trainer.search_space import Range, SearchParams, chosen, tuned
from trainer.task import fingerprint, read_splits

OBJECTIVE = "score"
"""The name of a trial's objective: the score of its best epoch, see `trainer.fit.Epoch`."""

_log = logging.getLogger(__name__)


def tuner_fn(fn_args: FnArgs) -> TunerFnResult:
    """Makes the search, which TFX then starts.

    A search that was killed continues if this is called again for the same data, parameters and space with the same
    `work_dir`. So does a search with a larger number of trials.

    Args:
        fn_args: TFX's arguments: the files of the train and eval splits, the transform graph, and `custom_config`,
            which has the keys of `trainer.task.run_fn` and `search`, the `SearchParams` as JSON.
    """
    config = fn_args.custom_config
    search = SearchParams.model_validate_json(config["search"])
    params = TrainParams.model_validate_json(config["params"])
    same = search.model_copy(update={"trials": 1}).model_dump_json()
    project = f"tune-{fingerprint(fn_args, config | {'search': same})}"
    return TunerFnResult(Search(search, params, fn_args, config["work_dir"], project), fit_kwargs={})


class Search(BaseTuner):  # type: ignore[misc]
    """A search that trains a model for each trial.

    Args:
        search: the space and the algorithm.
        params: the parameters that the space varies.
        fn_args: the arguments of `tuner_fn`.
        directory: the folder of all searches.
        project: the name of this search.
    """

    def __init__(
        self, search: SearchParams, params: TrainParams, fn_args: FnArgs, directory: str, project: str
    ) -> None:
        super().__init__(_oracle(search, params.seed), directory=directory, project_name=project)
        self._params = params
        self._fn_args = fn_args
        self._splits: tuple[Examples, Examples] | None = None

    def on_search_begin(self) -> None:
        """Saves the search at once, so that it can continue even if it is killed in its first trial."""
        self.save()

    def run_trial(self, trial: Trial) -> dict[str, float]:
        """Trains with a trial's parameters.

        Returns:
            The value of `OBJECTIVE`.

        Raises:
            FailedTrialError: training failed.
            FatalError: any other error, which other trials would have, too.
        """
        values = chosen(trial.hyperparameters.values)
        try:
            score = self._train(tuned(self._params, values))
        except TrainingError as error:
            _log.info("trial %s: %s: %s", trial.trial_id, values, error)
            raise errors.FailedTrialError(str(error)) from error
        except Exception as error:
            raise errors.FatalError(str(error)) from error
        _log.info("trial %s: %s: %.4f on eval", trial.trial_id, values, score)
        return {OBJECTIVE: score}

    def on_search_end(self) -> None:
        """Checks that at least one trial has completed.

        Raises:
            TrainingError: all trials failed.
        """
        if not any(trial.status == TrialStatus.COMPLETED for trial in self.oracle.trials.values()):
            raise TrainingError(
                "tune: expected at least one trial to end with a finite loss, received none; lower the learning rates "
                "in tune.space"
            )

    def _train(self, params: TrainParams) -> float:
        fn_args = self._fn_args
        spec = FeatureSpec.model_validate_json(fn_args.custom_config["spec"])
        ids = ids_of(spec, tft.TFTransformOutput(fn_args.transform_graph_path))
        keras.backend.clear_session()
        keras.utils.set_random_seed(params.seed)
        strategy = strategy_for(params)
        # The name depends on the parameters, since a new search may give the trial's number to other parameters.
        digest = hashlib.sha256(params.model_dump_json().encode()).hexdigest()[:16]
        checkpoints = os.path.join(self.project_dir, f"checkpoints-{digest}")
        with strategy.scope():
            model = models.build(input_columns(spec, ids), params, units_of(spec))
            if self._splits is None:
                self._splits = read_splits(fn_args, model, spec, params)
            head = head_for(spec, params, self._splits[0])
            history = fit(model, params, *self._splits, checkpoints, _ignore, head)
        remove_checkpoints(checkpoints)
        return history.epochs[history.best].score


def _ignore(index: int, epoch: Epoch) -> None:
    pass


def _oracle(search: SearchParams, seed: int) -> keras_tuner.Oracle:
    """The oracle, which chooses the trials."""
    of_algorithm = {
        "bayesian": keras_tuner.oracles.BayesianOptimizationOracle,
        "random": keras_tuner.oracles.RandomSearchOracle,
        "grid": keras_tuner.oracles.GridSearchOracle,
    }
    return of_algorithm[search.algorithm](
        objective=keras_tuner.Objective(OBJECTIVE, "max"),
        max_trials=search.trials,
        seed=seed,
        hyperparameters=_space(search),
        tune_new_entries=False,
        # A failed training run tells about its parameters, not about the search.
        max_consecutive_failed_trials=search.trials + 1,
    )


def _space(search: SearchParams) -> keras_tuner.HyperParameters:
    space = keras_tuner.HyperParameters()
    for key, dimension in search.space.items():
        if not isinstance(dimension, Range):
            # KerasTuner chooses among texts and numbers, but values may also be lists and mappings.
            space.Choice(key, [json.dumps(value) for value in dimension])
        elif dimension.whole:
            step = int(dimension.step) if dimension.step else None
            space.Int(key, dimension.min, dimension.max, step=step, sampling=dimension.scale)
        else:
            space.Float(key, dimension.min, dimension.max, step=dimension.step, sampling=dimension.scale)
    return space
