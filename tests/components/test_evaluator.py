"""The verdict on a model whose answers are known, and the numbers it rests on, against scikit-learn's."""

import json
import os
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
from sklearn.metrics import log_loss, ndcg_score, roc_auc_score
from tfx.types import standard_artifacts

from components.evaluation import evaluated_rows, gate, results
from components.evaluation.tfma_config import eval_config
from components.evaluation.thresholds import GateParams, SliceBounds, Threshold
from components.properties import METRICS_PROPERTY, REFUSALS_PROPERTY, UNJUDGED_PROPERTY, WARNINGS_PROPERTY
from components.trainer import COLUMNS_PROPERTY

DESCRIPTION = """
label: y
weight: w
ranking: {group: user, item: examples}
slices: [city, [user, city]]
source: {files: {train: test.csv, test: test.csv}}
features: {examples: numeric}
"""
"""With a column that is called as an input of the model's signature."""
_random = np.random.default_rng(1)
USER = _random.integers(0, 8, 200)
X = _random.normal(size=200).round(3)
Y = (X + _random.normal(size=200) > 0).astype(int)
CITY = np.where(USER % 4, "Oslo", "Rome")
W = _random.choice([0.5, 1, 2], size=200)
PROBABILITY = 1 / (1 + np.exp(-X))  # the model's logit is x


def auc_of(rows: np.ndarray, scores: np.ndarray = PROBABILITY) -> float:
    return roc_auc_score(Y[rows], scores[rows], sample_weight=W[rows])


def loss_of(rows: np.ndarray, scores: np.ndarray = PROBABILITY) -> float:
    return log_loss(Y[rows], scores[rows], sample_weight=W[rows])


ALL = np.full(200, True)
LISTS = [user == USER for user in np.unique(USER)]
AUC, LOGLOSS = auc_of(ALL), loss_of(ALL)
CALIBRATION = np.average(PROBABILITY, weights=W) / np.average(Y, weights=W)
# Within a list rows count alike; a list counts by its rows' weights, in GAUC by their sum, in NDCG by their mean.
GAUC = np.average([roc_auc_score(Y[u], PROBABILITY[u]) for u in LISTS], weights=[W[u].sum() for u in LISTS])
NDCG = np.average([ndcg_score([Y[u]], [PROBABILITY[u]], k=10) for u in LISTS], weights=[W[u].mean() for u in LISTS])


@dataclass(frozen=True)
class Verdict:
    """What the component left with its outputs."""

    metrics: dict[str, float]
    refusals: list[str]
    unjudged: list[str]
    told: list[str]
    blessed: bool
    uri: str


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, make_dataset):
    rows = [f"{y},{w},u{user},{x},{city},0" for y, w, user, x, city in zip(Y, W, USER, X, CITY, strict=True)]
    text = "\n".join(["y,w,user,x,city,examples", *rows, ""])
    return make_dataset(tmp_path_factory.mktemp("evaluator") / "data", DESCRIPTION, {"test.csv": text})


@pytest.fixture(scope="module")
def examples(tmp_path_factory, dataset, make_examples):
    return make_examples(dataset, tmp_path_factory.mktemp("evaluator") / "examples")


@pytest.fixture(scope="module")
def evaluate(tmp_path_factory, dataset, examples, make_model, run_evaluator):
    """Runs the component on models of these names; gives the evaluation and the blessing that it fills."""

    def artifact(name: str, number: int, columns: dict[str, str]) -> standard_artifacts.Model:
        model = standard_artifacts.Model()
        model.uri, model.id = str(make_model(name)), number
        model.set_string_custom_property(COLUMNS_PROPERTY, json.dumps(columns))
        return model

    def run(
        model: str, baseline: str | None, thresholds: dict[str, Threshold], read_before: dict[str, str] | None = None,
        min_of_class: int = 30,
    ) -> Verdict:  # fmt: skip
        folder = tmp_path_factory.mktemp("verdict")
        inputs = {"examples": [examples], "model": [artifact(model, 2, {})]}
        if baseline:
            inputs["baseline_model"] = [artifact(baseline, 1, read_before or {"x": "float"})]
        params = GateParams(min_of_class=min_of_class)
        results, blessing = run_evaluator(folder, dataset, inputs, thresholds, params)
        blessed = os.path.exists(os.path.join(blessing.uri, "BLESSED"))
        assert blessed == (blessing.get_int_custom_property("blessed") == 1)
        return Verdict(
            metrics=json.loads(results.get_string_custom_property(METRICS_PROPERTY)),
            refusals=json.loads(results.get_string_custom_property(REFUSALS_PROPERTY)),
            unjudged=json.loads(results.get_string_custom_property(UNJUDGED_PROPERTY)),
            told=json.loads(results.get_string_custom_property(WARNINGS_PROPERTY)),
            blessed=blessed,
            uri=results.uri,
        )

    return run


# Evaluations take seconds, so that each of these serves several tests.


@pytest.fixture(scope="module")
def refused(evaluate):
    """By its bounds; not by that of GAUC, nor because it is worse than the last blessed model, nor by what it misses
    within noise, nor by slices that are not judged.
    """
    slices = {
        "city": SliceBounds(max_drop=0.01, max=LOGLOSS / 4),
        "city = Rome": SliceBounds(max=LOGLOSS * 2),
        "city = Roma": SliceBounds(max=1),
    }
    thresholds = {
        "auc": Threshold(min=0.95, max_drop=0.01, slices={"city": SliceBounds(min=0.99, min_rows=1000)}),
        "logloss": Threshold(max=LOGLOSS - 0.001, max_drop=0, slices=slices),
        "calibration": Threshold(min=0.5, max=0.6),
        "gauc": Threshold(min=0),
        "ndcg@10": Threshold(min=NDCG + 1e-4, confidence=0),
    }
    return evaluate("Linear", "Reversed", thresholds)


@pytest.fixture(scope="module")
def worse(evaluate):
    """Than the last blessed model, in all but calibration, which has no such bound."""
    bound = Threshold(max_drop=0.01)
    return evaluate("Reversed", "Linear", {"auc": bound, "logloss": bound, "gauc": bound, "ndcg@10": bound})


def test_metrics_are_scikit_learns(refused):
    assert refused.metrics == {
        "auc": pytest.approx(AUC, abs=1e-3),
        "logloss": pytest.approx(LOGLOSS, rel=1e-5),
        "calibration": pytest.approx(CALIBRATION, rel=1e-5),
        "gauc": pytest.approx(GAUC, rel=1e-5),
        "ndcg@10": pytest.approx(NDCG, rel=1e-5),
    }


def test_rows_are_kept_with_what_both_models_answered(refused):
    kept = evaluated_rows.read(refused.uri)
    assert kept.column_names == ["example", "candidate", "baseline"]
    features = [tf.train.Example.FromString(row).features.feature for row in kept["example"].to_pylist()]
    x = [feature["x"].float_list.value[0] for feature in features]
    assert sorted(x) == pytest.approx(sorted(X))
    assert kept["candidate"].to_pylist() == pytest.approx(1 / (1 + np.exp(-np.array(x))))
    assert kept["baseline"].to_pylist() == pytest.approx(1 / (1 + np.exp(np.array(x))))


def test_of_many_rows_the_same_are_kept_whichever_model_is_judged(worse, evaluate, monkeypatch):
    monkeypatch.setattr(evaluated_rows, "MOST_ROWS", 100)
    one, other = evaluate("Linear", None, {}), evaluate("Reversed", None, {})
    kept = [evaluated_rows.read(verdict.uri)["example"].to_pylist() for verdict in (one, other)]
    assert kept[0] == kept[1]
    assert kept[0] == evaluated_rows.read(worse.uri)["example"].to_pylist()[: len(kept[0])]
    # Whole lists, as many as find room, so that there are some of two or more users in the hundred rows.
    users = Counter(tf.train.Example.FromString(row).features.feature["user"].bytes_list.value[0] for row in kept[0])
    all_users = Counter(f"u{user}".encode() for user in USER)
    assert all(all_users[user] == rows for user, rows in users.items())
    assert 100 - max(all_users.values()) < len(kept[0]) <= 100
    assert one.blessed
    assert one.told == ["blessed without judging its metrics: there are no thresholds"]


def test_slices_have_metrics_of_their_own(refused):
    sliced = tfma.load_eval_result(refused.uri).get_metrics_for_slice((("city", "Rome"),))
    assert sliced["logloss"]["doubleValue"] == pytest.approx(loss_of(CITY == "Rome"), rel=1e-5)


def test_slices_are_called_in_the_order_of_the_description(refused):
    found = results.read(refused.uri)
    assert found[("user", "u0"), ("city", "Rome")].rows == (USER == 0).sum()
    assert {tuple(column for column, _ in key) for key in found} == {(), ("city",), ("user", "city")}


INTERVAL = re.compile(r" \([-+]?\d\.\d{4} to [-+]?\d\.\d{4} with 0\.95 confidence\)")


def without_intervals(lines: list[str]) -> list[str]:
    return [INTERVAL.sub("", line) for line in lines]


def test_every_bound_that_is_missed_by_more_than_noise_is_a_reason(refused):
    oslo = loss_of(CITY == "Oslo")
    assert not refused.blessed
    assert without_intervals(refused.refusals) == [
        f"auc: expected at least 0.95, received {refused.metrics['auc']:.4f}",
        f"logloss of city = Oslo: expected at most {LOGLOSS / 4:g}, received {oslo:.4f}",
        "logloss of city = Roma: expected such rows in the test split, received none; there are "
        "city = Oslo, city = Rome; did you mean 'city = Rome'?",
        f"calibration: expected at most 0.6, received {CALIBRATION:.4f}",
        # Of the number itself, for which there is no interval.
        f"ndcg@10: expected at least {NDCG + 1e-4:g}, received {NDCG:.4f}",
    ]
    assert refused.refusals[-1] in without_intervals(refused.refusals)


def test_what_is_missed_within_noise_or_not_judged_is_told(refused):
    rows = [int((city == CITY).sum()) for city in ("Oslo", "Rome")]
    assert sorted(without_intervals(refused.told)) == sorted(
        [
            f"logloss: expected at most {LOGLOSS - 0.001:g}, received {LOGLOSS:.4f}: missed, but within noise",
            f"not judged: auc of city = Oslo ({rows[0]} rows of 1,000), auc of city = Rome ({rows[1]} rows of 1,000), "
            f"logloss of city = Rome ({rows[1]} rows of 100)",
        ]
    )


def test_the_verdict_is_kept_for_programs(refused):
    kept = gate.read(refused.uri)
    assert kept.refusals == refused.refusals
    gauc = next(each for each in kept.conditions if each.what == "gauc")
    assert (gauc.outcome, gauc.expected, gauc.received) == ("kept", "at least 0", pytest.approx(GAUC, rel=1e-5))
    assert gauc.interval[0] < gauc.received < gauc.interval[1]


def test_a_model_that_is_worse_than_the_last_blessed_one(worse, refused):
    other = refused.metrics  # of the model that it is compared with
    assert not worse.blessed
    assert worse.metrics["auc"] == pytest.approx(1 - AUC, abs=1e-3)  # its own, not the difference
    assert without_intervals(worse.refusals) == [
        f"{name}: expected at most 0.01 worse than the last blessed model, "
        f"received {worse.metrics[name] - other[name]:+.4f}"
        for name in ("auc", "logloss", "gauc", "ndcg@10")
    ]
    assert without_intervals(worse.refusals) != worse.refusals


def test_a_last_blessed_model_that_cannot_read_the_rows_is_told_and_the_candidate_judged_alone(evaluate):
    before = {"x": "string", "age": "float"}
    verdict = evaluate("Linear", "Reversed", {"auc": Threshold(min=0.55, max_drop=0)}, before)
    assert verdict.blessed
    assert verdict.told == [
        "not compared with the last blessed model: it reads 'x' as string, which is now float; "
        "it reads 'age' (float), which the data no longer has"
    ]
    assert evaluated_rows.read(verdict.uri).column_names == ["example", "candidate"]


def test_a_first_model_that_is_only_to_be_compared_is_blessed_with_a_word(evaluate):
    verdict = evaluate("Linear", None, {"auc": Threshold(max_drop=0)})
    assert verdict.blessed
    assert verdict.told == [
        "blessed without judging its metrics: all thresholds are for the comparison with a last blessed model, "
        "and there was none to compare with"
    ]


@pytest.mark.parametrize("baseline", [None, "Reversed"])
def test_too_few_rows_of_a_class_bless_a_first_model_only(evaluate, baseline):
    verdict = evaluate("Reversed", baseline, {"auc": Threshold(min=0.55)}, min_of_class=1000)
    assert verdict.unjudged == [f"auc ({Y.sum()} positive rows of 1,000)"]
    assert verdict.blessed == (baseline is None)
    assert len(verdict.refusals) == (baseline is not None)


def test_tfx_gives_a_verdict_whatever_is_asked(dataset):
    """TFX evaluates a model without validating, and so blessing, it where TFMA finds no threshold in this."""
    config = tfma.utils.update_eval_config_with_defaults(
        eval_config(dataset.spec), has_baseline=False, rubber_stamp=True
    )
    found = tfma.metrics.metric_thresholds_from_metrics_specs(config.metrics_specs, eval_config=config)
    assert [key.name for key in found] == ["example_count"]
