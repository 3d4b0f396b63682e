"""Metrics of resampled rows, against scikit-learn's on rows that are repeated."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, r2_score, roc_auc_score

from components.evaluation import bootstrap
from components.evaluation.answers import Answers
from components.evaluation.rows import Rows
from components.evaluation.tfma_metrics import ListSums

TIMES = np.random.default_rng(1).poisson(1.0, 400).astype(np.uint8)


def replicate(rows: Rows, name: str) -> float:
    """The metric where each row counts as often as `TIMES` says."""
    (value,) = bootstrap.replicated(bootstrap.measure(name, rows, rows.candidate), rows.weights, TIMES[np.newaxis])
    return value


def repeated(rows: Rows) -> Rows:
    return rows[np.repeat(np.arange(len(rows)), TIMES)]


def test_pointwise_metrics(make_rows):
    rows = make_rows()
    again = repeated(rows)
    predicted, weights = again.candidate.values, again.weights
    assert replicate(rows, "auc") == pytest.approx(roc_auc_score(again.labels, predicted, sample_weight=weights))
    assert replicate(rows, "logloss") == pytest.approx(log_loss(again.labels, predicted, sample_weight=weights))
    assert replicate(rows, "calibration") == pytest.approx((weights @ predicted) / (weights @ again.labels))


def test_ties_count_one_half(make_rows):
    rows = make_rows()
    tied = Answers(rows.candidate.values.round(1), rows.candidate.classes, rows.candidate.confidences)
    auc = bootstrap.once(bootstrap.measure("auc", rows, tied), rows.weights)
    assert auc == pytest.approx(roc_auc_score(rows.labels, tied.values, sample_weight=rows.weights))


def test_group_metrics_are_those_of_the_evaluator(make_rows):
    rows = make_rows()
    sums = ListSums()
    for members in bootstrap.of_groups(rows):
        sums.add(rows.labels[members], rows.candidate.values[members], rows.weights[members])
    for name in ("gauc", "ndcg@10"):
        measure = bootstrap.measure(name, rows, rows.candidate)
        assert bootstrap.once(measure, rows.weights) == pytest.approx(sums.result(name))


def test_a_group_that_counts_twice_is_two_groups(make_rows):
    rows = make_rows()
    twice = np.where(rows.groups == 0, 2.0, 1.0)
    members = np.flatnonzero(rows.groups == 0)
    copy = rows[np.concatenate([np.arange(len(rows)), members])]
    copy.groups[len(rows) :] = rows.groups.max() + 1
    for name in ("gauc", "ndcg@10"):
        weighted = bootstrap.once(bootstrap.measure(name, rows, rows.candidate), rows.weights * twice)
        assert weighted == pytest.approx(bootstrap.once(bootstrap.measure(name, copy, copy.candidate), copy.weights))


def test_metrics_of_numbers_and_of_many_classes():
    dice = np.random.default_rng(2)
    labels, ones, examples = dice.normal(size=400), np.ones(400), np.full(400, b"", object)
    predicted = Answers(labels + dice.normal(size=400), np.zeros(0, int), np.zeros(0))
    numbers = Rows("number", labels, ones, predicted, None, None, {}, examples)
    again = repeated(numbers)
    assert replicate(numbers, "mae") == pytest.approx(mean_absolute_error(again.labels, again.candidate.values))
    assert replicate(numbers, "rmse") == pytest.approx(np.sqrt(np.mean((again.labels - again.candidate.values) ** 2)))
    assert replicate(numbers, "r2") == pytest.approx(r2_score(again.labels, again.candidate.values))

    chosen = Answers(dice.random(400), dice.integers(0, 3, 400), dice.random(400))
    classes = Rows("classes", dice.integers(0, 3, 400).astype(float), ones, chosen, None, None, {}, examples)
    again = repeated(classes)
    assert replicate(classes, "accuracy") == pytest.approx(accuracy_score(again.labels, again.candidate.classes))
    assert replicate(classes, "cross_entropy") == pytest.approx(-np.log(again.candidate.values).mean())


def test_whole_groups_are_resampled(make_rows):
    rows = make_rows()
    counted = bootstrap.counts(rows)
    assert counted.shape == (bootstrap.REPLICATES, len(rows))
    for members in bootstrap.of_groups(rows):
        assert (counted[:, members] == counted[:, members[:1]]).all()
    assert counted.mean() == pytest.approx(1, abs=0.05)
    assert (bootstrap.counts(rows) == counted).all()


def test_intervals_hold_the_truth_as_often_as_they_say(make_rows):
    """Means of 200 draws from a normal distribution, whose mean is 0."""
    dice = np.random.default_rng(5)
    counted = bootstrap.counts(make_rows(200, groups=None))
    held = []
    for _ in range(200):
        draws = dice.normal(size=200)
        mean = float(draws.mean())
        low, high = bootstrap.interval(mean, counted @ draws / counted.sum(axis=1), 200)
        held.append(low <= 0 <= high)
    assert np.mean(held) == pytest.approx(bootstrap.CONFIDENCE, abs=0.05)


def test_a_part_of_the_rows_gives_an_interval_as_narrow_as_all_would():
    replicates = np.array([-1.0, 1.0] * 100)  # whose standard deviation is 1, of a sample √(200 / 199)
    error = np.sqrt(200 / 199) * np.sqrt(0.25)
    # Of Student's t with 9 degrees of freedom; with very many it is 1.96.
    for units, quantile in ((10, 2.262157), (10**9, 1.959964)):
        found = bootstrap.interval(5.0, replicates, units, share=0.25)
        assert found == pytest.approx((5 - quantile * error, 5 + quantile * error), abs=1e-5)
    assert bootstrap.interval(5.0, replicates, 1, share=0.25) is None  # nothing to differ from


def test_an_interval_ends_where_the_metric_does():
    replicates = np.array([0.8, 1.0] * 100)  # whose standard deviation is 0.1003
    low, high = bootstrap.interval(0.9, replicates, 10**9, within=(0.0, 1.0))
    assert (low, high) == (pytest.approx(0.9 - 1.959964 * 0.1 * np.sqrt(200 / 199)), 1.0)


@pytest.mark.parametrize("replicates", [np.zeros(0), np.full(300, np.nan), np.array([1.0] * 200 + [np.nan] * 100)])
def test_no_interval_where_too_few_replicates_have_a_value(replicates):
    assert bootstrap.interval(1.0, replicates, 100) is None
