import re

import pytest
from pydantic import ValidationError

from trainer.params import Adam, Ftrl, TrainParams
from trainer.search_space import SearchParams, tuned


def search(**space: object) -> SearchParams:
    return SearchParams.model_validate({"space": {key.replace("__", "."): value for key, value in space.items()}})


def test_values_go_where_their_keys_say() -> None:
    params = tuned(
        TrainParams(dropout=0.3),
        {"deep_optimizer.learning_rate": 0.01, "hidden_units": [8, 4], "schedule": {"name": "cosine"}},
    )
    assert params.deep_optimizer == Adam(learning_rate=0.01)
    assert params.wide_optimizer == Ftrl()
    assert params.hidden_units == (8, 4)
    assert params.schedule.name == "cosine"
    assert params.dropout == 0.3


def test_an_optimizer_and_its_learning_rate_can_be_varied_together() -> None:
    space = search(
        deep_optimizer=[{"name": "adam"}, {"name": "adagrad"}], deep_optimizer__learning_rate={"min": 0.001, "max": 0.1}
    )
    assert space.problems(TrainParams()) == []
    params = tuned(TrainParams(), {"deep_optimizer": {"name": "adagrad"}, "deep_optimizer.learning_rate": 0.1})
    assert (params.deep_optimizer.name, params.deep_optimizer.learning_rate) == ("adagrad", 0.1)


@pytest.mark.parametrize(
    ("space", "problem"),
    [
        ({"dropuot": [0.1, 0.2]},
         "dropuot: expected a parameter of 'train' to tune, received 'dropuot'; did you mean 'dropout'"),
        ({"model": ["wide", "deep"]}, "model: expected a parameter of 'train' to tune, received 'model'"),
        ({"dropout": {"min": 0, "max": 1}}, r"dropout: .* received 1 \(by tune.space.dropout\)"),
        ({"batch_size": [64, "many"]}, r"batch_size: .*received 'many' \(by tune.space.batch_size\)"),
        ({"deep_optimizer__rate": [1, 2]}, "deep_optimizer.*rate"),
    ],
)  # fmt: skip
def test_a_space_of_what_cannot_be(space: dict, problem: str) -> None:
    problems = search(**space).problems(TrainParams())
    assert len(problems) == 1
    assert re.match(problem, problems[0]), problems[0]


def test_no_search_by_several_machines() -> None:
    problems = search(dropout=[0.1, 0.2]).problems(TrainParams(distribution="multi_worker"))
    assert problems == ["expected 'distribution: none' or 'mirrored' to search, received 'multi_worker'"]


@pytest.mark.parametrize(
    ("dimension", "message"),
    [
        ([0.1], "expected a list of at least two values"),
        (0.1, "expected a list of at least two values"),
        ({"min": 1, "max": 1}, "expected min below max, received 1 and 1"),
        ({"min": 0, "max": 1.5, "scale": "log"}, "expected min above 0 with 'scale: log', received 0"),
        ({"min": 1, "max": 9, "step": 1.5}, "expected a whole step between whole bounds, received 1.5"),
    ],
)
def test_a_dimension_that_is_none(dimension: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        search(dropout=dimension)
