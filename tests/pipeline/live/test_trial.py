"""The verdict on a canary."""

import math

import pytest

from pipeline.live.trial import Answers, CanaryLimits, Trial, _problems

LIMITS = CanaryLimits(errors=0.01, slower=1.5)


def answers(milliseconds=10.0, errors=0) -> Answers:
    return Answers([milliseconds] * (100 - errors), {"UNAVAILABLE": errors} if errors else {})


@pytest.mark.parametrize(
    ("stable", "canary", "problems"),
    [
        (answers(), answers(), []),
        (answers(), answers(15), []),
        (answers(), answers(errors=1), []),
        (answers(errors=3), answers(errors=4), []),
        (
            answers(),
            answers(16),
            ["99th percentile: expected at most 1.5 times the stable version's 10.0 ms, received 16.0 ms"],
        ),
        (
            answers(errors=1),
            answers(errors=3),
            [
                "error rate: expected at most 1.00% beyond the stable version's 1.00%, received 3.00% (3 UNAVAILABLE)",
            ],
        ),
        (answers(), Answers(), ["no request was sent: the trial was too short"]),
    ],
)
def test_problems(stable, canary, problems):
    assert _problems(stable, canary, LIMITS) == problems


def test_a_canary_that_never_answers_is_not_called_fast():
    (problem,) = _problems(answers(), answers(errors=100), LIMITS)
    assert problem.startswith("error rate")


def test_overlap_is_of_the_users_that_both_answered():
    """1 of 2 shared for ann, 2 of 2 for bob; cyd has one answer."""
    stable = Answers(best={"ann": frozenset({1, 2}), "bob": frozenset({3, 4}), "cyd": frozenset({1})})
    canary = Answers(best={"ann": frozenset({2, 5}), "bob": frozenset({3, 4})})
    assert Trial({"stable": stable, "canary": canary}, ()).overlap == pytest.approx(0.75)
    assert math.isnan(Trial({"stable": Answers(), "canary": Answers()}, ()).overlap)
