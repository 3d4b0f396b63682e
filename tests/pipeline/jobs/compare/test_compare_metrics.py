"""Metrics of scores, worked by hand or against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import log_loss, roc_auc_score

from pipeline.jobs.compare.metrics import JudgedRows, coverage, mean_and_deviation, novelty, paired_p

_random = np.random.default_rng(3)
LOGITS = _random.normal(size=60)
LABELS = (LOGITS + _random.normal(size=60) > 0).astype(float)
WEIGHTS = _random.choice([0.5, 2.0], size=60)
PROBABILITY = 1 / (1 + np.exp(-LOGITS))


def test_pointwise_metrics_are_scikit_learns() -> None:
    found = JudgedRows(LABELS, WEIGHTS, None).metrics(LOGITS)
    np.testing.assert_allclose(found["auc"], roc_auc_score(LABELS, LOGITS, sample_weight=WEIGHTS))
    np.testing.assert_allclose(found["logloss"], log_loss(LABELS, PROBABILITY, sample_weight=WEIGHTS))
    expected = np.average(PROBABILITY, weights=WEIGHTS) / np.average(LABELS, weights=WEIGHTS)
    np.testing.assert_allclose(found["calibration"], expected)
    assert set(found) == {"auc", "logloss", "calibration"}


def test_group_metrics() -> None:
    """Group 0 has its positive first of two, group 1 last of two, group 2 no negative; rows lie mixed.

    GAUC over groups 0 and 1: (1 + 0) / 2. NDCG: 1, 1 / log₂ 3 = 0.630930, and 1: 0.876977.
    """
    groups = np.array([1, 0, 2, 1, 0])
    labels = np.array([1.0, 1.0, 1.0, 0.0, 0.0])
    logits = np.array([-1.0, 2.0, 0.0, 1.0, 1.0])
    found = JudgedRows(labels, np.ones(5), groups).metrics(logits)
    assert found["gauc"] == 0.5
    np.testing.assert_allclose(found["ndcg@10"], (1 + 1 / math.log2(3) + 1) / 3)


def test_what_weighs_nothing_does_not_count() -> None:
    """Positive rows of weight 0 leave neither an AUC nor a calibration, and rows of weight 0 nothing at all."""
    labels, logits = np.array([1.0, 0.0]), np.zeros(2)
    found = JudgedRows(labels, np.array([0.0, 1.0]), np.zeros(2, int)).metrics(logits)
    assert found.pop("logloss") == pytest.approx(math.log(2))
    assert math.isnan(found["auc"])
    assert math.isnan(found["calibration"])
    nothing = JudgedRows(labels, np.zeros(2), np.zeros(2, int)).metrics(logits)
    assert all(map(math.isnan, nothing.values()))
    assert len(nothing) == 5


def test_coverage_and_novelty() -> None:
    lists = [np.array([0, 1]), np.array([0, 2])]
    # Of 4 items 0, 1 and 2 are shown.
    assert coverage(lists, 4) == 0.75
    # Items' shares of 8 training rows: 4/8, 2/8, and 0 counts as 1/8: 1, 2, 3 bits; item 0 is shown twice.
    assert novelty(lists, np.array([4, 2, 0, 2])) == pytest.approx((1 + 2 + 1 + 3) / 4)


def test_paired_test() -> None:
    first, other = [0.70, 0.71, 0.69], [0.72, 0.73, 0.72]
    # Differences 0.02, 0.02, 0.03: mean 0.023333, deviation 0.0057735, t = 0.023333 / (0.0057735 / √3) = 7.
    assert paired_p(first, other) == pytest.approx(2 * stats.t.sf(7, df=2))
    assert paired_p(first, first) == 1
    assert paired_p([0.5, 0.5], [0.75, 0.75]) == 0
    assert math.isnan(paired_p([0.5], [0.6]))


def test_mean_and_deviation() -> None:
    assert mean_and_deviation([1.0, 3.0]) == (2.0, pytest.approx(math.sqrt(2)))
    assert math.isnan(mean_and_deviation([1.0])[1])
