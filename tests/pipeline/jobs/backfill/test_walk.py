"""One span after the other, with runs and judges that take no time."""

from __future__ import annotations

import itertools

import pytest

from pipeline.jobs.backfill.walk import Step, scores_of, walk
from schema.errors import DataError, RanklineError

SPANS = ("1", "2", "3", "4")


class Chain:
    """Pushes a version for each span, but for those that it refuses, and stops where it is told to."""

    def __init__(self, refused: str = "", stops: str = "") -> None:
        self.refused, self.stops = refused, stops
        self.runs: list[str] = []
        self.judged: list[tuple[str, str, str]] = []

    def run(self, span: str) -> Step:
        if span in self.stops:
            raise DataError("no rows")
        self.runs.append(span)
        refused = span in self.refused
        return Step(span, f"run-{span}", 1.5, 10, None if refused else f"v{span}", ["auc"] if refused else [])

    def judge(self, span, once, continuous, path) -> None:
        self.judged.append((span, once, continuous))
        path.write_text("scores")


@pytest.fixture
def go(tmp_path):
    def go(chain: Chain, limit: int = len(SPANS)) -> list[Step]:
        return [step for step, _ in itertools.islice(walk(SPANS, tmp_path, chain.judge, chain.run), limit)]

    return go


def test_each_span_is_judged_by_the_models_from_before_it(go):
    chain = Chain()
    assert [step.pushed for step in go(chain)] == ["v1", "v2", "v3", "v4"]
    assert chain.judged == [("2", "v1", "v1"), ("3", "v1", "v2"), ("4", "v1", "v3")]


def test_where_a_model_is_refused_the_one_before_is_served(go):
    chain = Chain(refused="13")
    assert [step.refusals for step in go(chain)] == [["auc"], [], ["auc"], []]
    # The first model is that of the second span, and is still served after the third.
    assert chain.judged == [("3", "v2", "v2"), ("4", "v2", "v2")]


def test_who_is_killed_goes_on(go, tmp_path):
    """Also with the same models to judge, and without judging again what was judged."""
    go(Chain(), limit=2)
    (tmp_path / "3.partial").write_text('{"span": "3"')  # killed while writing
    chain = Chain()
    steps, done_before = zip(*walk(SPANS, tmp_path, chain.judge, chain.run), strict=True)
    assert chain.runs == ["3", "4"]
    assert chain.judged == [("3", "v1", "v2"), ("4", "v1", "v3")]
    assert done_before == (True, True, False, False)
    assert list(steps) == go(Chain(stops="1234"))


def test_what_stops_a_run_is_told_with_its_span_and_may_be_mended(go):
    with pytest.raises(RanklineError) as caught:
        go(Chain(stops="3"))
    first, last = str(caught.value).splitlines()
    assert first == "span 3: no rows"
    assert last == "The spans before it are kept: the same command continues after them."
    chain = Chain()
    go(chain)
    assert chain.runs == ["3", "4"]


def test_spans_before_the_first_model_have_no_scores(go, tmp_path):
    go(Chain(refused="1"))
    assert [scores_of(tmp_path, span).exists() for span in SPANS] == [False, False, True, True]
