"""The gate's arithmetic, and how often it is wrong, on rows whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from components.evaluation import bootstrap, gate, intervals
from components.evaluation.answers import Answers
from components.evaluation.results import Sliced
from components.evaluation.rows import Rows
from components.evaluation.thresholds import GateParams, SliceBounds, Threshold
from components.evaluation.verdict import Condition, Gate
from schema.feature_spec import FeatureSpec

SPEC = FeatureSpec.model_validate({"label": "y", "slices": [["city"], ["city", "device"]]}).model_copy(
    update={"columns": {"city": "string", "device": "string"}}
)


def rows_of(labels: np.ndarray, candidate: np.ndarray, baseline: np.ndarray, groups: np.ndarray | None = None) -> Rows:
    answers = [Answers(values, np.zeros(0, int), np.zeros(0)) for values in (candidate, baseline)]
    ones = np.ones(len(labels))
    return Rows("binary", labels, ones, *answers, groups, {}, np.full(len(labels), b"", object))


@pytest.fixture
def judge(monkeypatch):
    """Judges rows as if the Evaluator had found their metrics; with what it found in slices, if anything."""

    def run(
        thresholds: dict[str, Threshold],
        rows: Rows,
        params: GateParams = GateParams(),  # noqa: B008 (frozen)
        is_first: bool = True,
        **slices: Sliced,
    ) -> Gate:
        found = {(): intervals.sliced(rows, bootstrap.names(rows))}
        for name, sliced in slices.items():
            found[tuple(zip(("city", "device"), name.split("_"), strict=False))] = sliced
        monkeypatch.setattr(gate.results, "read", lambda _: found)
        monkeypatch.setattr(gate.rows, "read", lambda *_: rows)
        return gate.judge("", SPEC, thresholds, params, is_first)

    return run


TRUE_LOSS = -(np.log(0.6) + np.log(0.4)) / 2
"""Of who always says 0.6, or always 0.4, of labels that are 1 every other time."""


@pytest.fixture(scope="module")
def draws() -> list[Rows]:
    """Clicks of 40 users, of whom each clicks often or seldom, so that their 400 rows say less than 400 rows could."""
    dice = np.random.default_rng(11)
    users = np.repeat(np.arange(40), 10)
    found = []
    for _ in range(200):
        often = dice.choice([0.2, 0.8], 40)[users]
        labels = (dice.random(400) < often).astype(float)
        found.append(rows_of(labels, np.full(400, 0.6), np.full(400, 0.4), users))
    return found


@pytest.mark.parametrize(
    "asked", [{"max": TRUE_LOSS}, {"max_drop": 0.0}], ids=["as high as its bound", "as good as the last one"]
)
def test_a_loss(judge, draws, asked):
    """Is refused every other time by its number, 1 time in 40 with confidence 0.95, of which one side is wrong."""

    def refused(rows: list[Rows], confidence: float) -> float:
        thresholds = {"logloss": Threshold(confidence=confidence, **asked)}
        return float(np.mean([bool(judge(thresholds, each).refusals) for each in rows]))

    assert refused(draws, 0) == pytest.approx(0.5, abs=0.1)
    assert refused(draws, 0.95) == pytest.approx(0.025, abs=0.025)
    # As if rows were drawn one by one; what a bootstrap of whole users is for.
    assert refused([replace(rows, groups=None) for rows in draws], 0.95) > 0.1


def conditions(found: Gate) -> dict[str, tuple[str, str]]:
    return {f"{each.what} {each.expected}": (each.outcome, each.reason) for each in found.conditions}


LABELS, BETTER, WORSE = np.array([0.0, 1.0] * 200), np.array([0.3, 0.7] * 200), np.array([0.45, 0.55] * 200)


def test_bounds_are_inclusive_and_each_is_a_condition_of_its_own(judge):
    """Calibration is (0.3 + 0.7) / (0 + 1) = 1, and the loss -ln 0.7 = 0.3567 in all rows."""
    rows = rows_of(LABELS, BETTER, WORSE)
    thresholds = {
        "auc": Threshold(min=1, max_drop=0),
        "logloss": Threshold(max=0.35, max_drop=0),
        "calibration": Threshold(min=1.1, max=2),
    }
    found = judge(thresholds, rows)
    assert {each: outcome for each, (outcome, _) in conditions(found).items()} == {
        "auc at least 1": "kept",
        "auc at most 0 worse than the last blessed model": "kept",
        "logloss at most 0.35": "broken",
        "logloss at most 0 worse than the last blessed model": "kept",
        "calibration at least 1.1": "broken",
        "calibration at most 2": "kept",
    }
    loss = next(each for each in found.conditions if each.expected == "at most 0.35")
    assert (loss.received, loss.room) == (pytest.approx(0.35667, abs=1e-5), pytest.approx(-0.00667, abs=1e-5))
    assert loss.interval == pytest.approx((0.35667, 0.35667), abs=1e-4)  # no row differs from another
    change = next(each for each in found.conditions if each.is_change and each.what == "logloss")
    assert change.room == -change.received == pytest.approx(np.log(0.7) - np.log(0.55))


def sliced(rows: int, auc: float | None, before: float | None = None) -> Sliced:
    return Sliced(
        rows, {} if auc is None else {"auc": auc}, {} if before is None else {"auc": before}, rows, positives=rows // 2
    )


def test_what_is_said_of_one_value_goes_before_what_is_said_of_every_value(judge):
    slices = {
        "city": SliceBounds(min=0.6, min_rows=50),
        "city = Rome": SliceBounds(min=0.5),
        "city = Lodi": SliceBounds(min_of_class=40),
        "city, device=phone": SliceBounds(max_drop=0.1),
    }
    found = judge(
        {"auc": Threshold(confidence=0, slices=slices)},
        rows_of(LABELS, BETTER, WORSE),
        Oslo=sliced(100, 0.55),
        Rome=sliced(60, 0.55),
        Bari=sliced(49, 0.1),
        Pisa=sliced(60, None),
        Lodi=sliced(70, 0.1),
        Como=sliced(59, 0.1),
        Rome_phone=sliced(100, 0.5, before=0.65),
        Rome_laptop=sliced(100, 0.5, before=0.9),
        Bari_phone=sliced(100, 0.5),
    )
    worse = "at most 0.1 worse than the last blessed model"
    assert conditions(found) == {
        "auc of city = Oslo at least 0.6": (
            "broken", "auc of city = Oslo: expected at least 0.6, received 0.5500",
        ),
        "auc of city = Rome at least 0.5": ("kept", ""),
        "auc of city = Bari at least 0.6": ("not judged", "not judged: 49 rows of 50"),
        "auc of city = Lodi at least 0.6": ("not judged", "not judged: 35 positive rows of 40"),
        "auc of city = Como at least 0.6": ("not judged", "not judged: 29 positive rows of 30"),
        "auc of city = Pisa at least 0.6": (
            "not judged", "not judged: no value, which takes rows of both classes",
        ),
        f"auc of city = Rome, device = phone {worse}": (
            "broken", f"auc of city = Rome, device = phone: expected {worse}, received -0.1500",
        ),
        f"auc of city = Bari, device = phone {worse}": (
            "not judged", "not judged: the last blessed model has no value",
        ),
    }  # fmt: skip


def test_a_slice_that_has_no_rows_is_no_slice_that_is_good(judge):
    thresholds = {"auc": Threshold(slices={"city=Rom": SliceBounds(min=0.5), "city, device": SliceBounds(min=0.5)})}
    found = judge(thresholds, rows_of(LABELS, BETTER, WORSE), Rome=sliced(100, 0.9), Oslo=sliced(100, 0.9))
    assert found.refusals == [
        "auc of city = Rom: expected such rows in the test split, received none; there are city = Rome, city = Oslo; "
        "did you mean 'city = Rome'?",
        "auc of city, device: expected such rows in the test split, received none; there are no such slices",
    ]


FEW = GateParams(min_rows=0, min_of_class=0)


def test_metrics_without_a_value_are_told(judge):
    found = judge({"auc": Threshold(min=0.5)}, rows_of(np.ones(400), BETTER, WORSE), FEW, Rome=sliced(9, 0.7))
    assert found.refusals == []
    assert gate.told(found) == [
        "blessed although it could not be judged by auc (no value, which takes rows of both classes)",
        "no value: logloss of city = Rome (takes a row), calibration of city = Rome (takes a positive row)",
    ]


def test_answers_that_are_no_numbers_are_a_reason_whatever_is_asked(judge):
    found = judge({}, rows_of(LABELS, np.where(np.arange(400), BETTER, np.nan), WORSE))
    assert found.refusals == ["answers: expected numbers for all rows of the test split, received NaN or infinite ones"]


def few(positives: int, negatives: int, weightless: int = 0) -> Rows:
    """A model that is worse than chance, on so few rows that this says nothing; and positive rows that do not count."""
    counts = [positives, negatives, weightless]
    answers = np.repeat([0.1, 0.9, 0.9], counts)
    rows = rows_of(np.repeat([1.0, 0.0, 1.0], counts), answers, answers)
    return replace(rows, weights=np.repeat([1.0, 1.0, 0.0], counts))


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (few(4, 500), "4 positive rows of 30"),
        (few(500, 29), "29 negative rows of 30"),
        (few(45, 54), "99 rows of 100"),
        (few(20, 200, weightless=50), "20 positive rows of 30 without those of weight 0"),
        (few(0, 200, weightless=50), "0 positive rows of 30 without those of weight 0"),
    ],
    ids=["positives", "negatives", "rows", "positives that weigh something", "no such positives"],
)
def test_few_rows_say_nothing_for_better_or_worse(judge, rows, why):
    found = judge({"auc": Threshold(min=0.5), "calibration": Threshold(max=1.4)}, rows)
    assert {each.outcome for each in found.conditions} == {"not judged"}
    assert found.unjudged == [f"auc, calibration ({why})"]
    assert gate.told(found)[0] == f"blessed although it could not be judged by auc, calibration ({why})"


@pytest.mark.parametrize(
    ("unjudged", "is_first", "refused"),
    [
        ("push", True, False), ("push", False, False),
        ("keep", True, False), ("keep", False, True),
        ("refuse", True, True), ("refuse", False, True),
    ],
)  # fmt: skip
def test_what_comes_of_a_model_that_cannot_be_judged(judge, unjudged, is_first, refused):
    asked = {"auc": Threshold(min=0.5)}
    found = judge(asked, few(4, 500), GateParams(unjudged=unjudged), is_first)
    reason = (
        "test split: expected enough to judge by, received too little for auc (4 positive rows of 30); add rows, "
        "or set gate.unjudged: push"
    )
    assert found.refusals == [reason] * refused
    assert gate.told(found)[0].startswith("could not" if refused else "blessed although it could not")
    # What can be judged, is.
    assert judge(asked, few(31, 500), GateParams(unjudged=unjudged), is_first).unjudged == []


def test_where_nothing_is_asked_few_rows_are_no_reason(judge):
    found = judge({}, few(4, 500), GateParams(unjudged="refuse"))
    assert (found.refusals, found.unjudged) == ([], [])


def test_many_slices_that_are_not_judged_are_told_in_one_line():
    few = [
        Condition(
            what=f"auc of id = {n}", expected="at least 0.5", outcome="not judged", reason="not judged: 3 rows of 9"
        )
        for n in range(15)
    ]
    within = Condition(what="auc", expected="at least 0.5", outcome="within noise", reason="auc: nearly")
    shown = ", ".join(f"auc of id = {n} (3 rows of 9)" for n in range(12))
    assert gate.told(Gate(conditions=[*few, within], remarks=["first"])) == [
        "first",
        "auc: nearly",
        f"not judged: {shown} and 3 more",
    ]
