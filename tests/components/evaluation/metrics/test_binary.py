import math

import numpy as np
import pytest
import sklearn.metrics

from components.evaluation.tfma_metrics import RowComputation, RowSums


def sums_of(labels, predictions, weights=None, parts: int = 1) -> RowSums:
    """The accumulator after rows that were spread over several."""
    accumulators = [RowSums("binary") for _ in range(parts)]
    for index, row in enumerate(zip(labels, predictions, weights or [1.0] * len(labels), strict=True)):
        accumulators[index % parts].add(*row)
    first, *others = accumulators
    first.compact()
    for other in others:
        first.merge(other)
    return first


def test_worked_by_hand():
    # Pairs of positive and negative: (.9, .2) and (.9, .6) in order, (.4, .2) in order, (.4, .6) not: 3 of 4.
    sums = sums_of([1, 0, 1, 0], [0.9, 0.2, 0.4, 0.6])
    assert sums.result("auc") == 0.75
    assert sums.result("logloss") == pytest.approx(-(math.log(0.9) + math.log(0.8) + math.log(0.4) + math.log(0.4)) / 4)
    assert sums.result("calibration") == pytest.approx((0.9 + 0.2 + 0.4 + 0.6) / 2)


def test_ties_count_one_half():
    assert sums_of([1, 0, 0], [0.3, 0.3, 0.1]).result("auc") == 0.75


def test_weights_stand_for_repeated_rows():
    weighted = sums_of([1, 0, 1], [0.7, 0.6, 0.2], weights=[2.0, 3.0, 1.0])
    repeated = sums_of([1, 1, 0, 0, 0, 1], [0.7, 0.7, 0.6, 0.6, 0.6, 0.2])
    assert weighted.result("auc") == pytest.approx(repeated.result("auc"))
    assert weighted.result("logloss") == pytest.approx(repeated.result("logloss"))
    assert weighted.result("calibration") == pytest.approx(repeated.result("calibration"))


def test_equals_sklearn_whatever_the_base_rate():
    random = np.random.default_rng(0)
    logits = random.normal(-4, 2, 5000)
    predictions = 1 / (1 + np.exp(-logits))
    labels = (random.random(5000) < predictions).astype(float)
    sums = sums_of(labels, predictions, parts=3)
    assert sums.result("auc") == pytest.approx(sklearn.metrics.roc_auc_score(labels, predictions), abs=1e-4)
    assert sums.result("logloss") == pytest.approx(sklearn.metrics.log_loss(labels, predictions), rel=1e-9)
    assert sums.result("calibration") == pytest.approx(predictions.sum() / labels.sum(), rel=1e-9)


def test_certain_predictions_have_a_finite_loss():
    assert sums_of([1, 0], [0.0, 1.0]).result("logloss") == pytest.approx(-math.log(1e-7))


def test_one_class_has_no_auc_and_no_rows_no_metric():
    assert math.isnan(sums_of([1, 1], [0.5, 0.6]).result("auc"))
    empty = RowSums("binary")
    assert math.isnan(empty.result("auc"))
    assert math.isnan(empty.result("logloss"))
    assert math.isnan(empty.result("calibration"))


def test_the_three_share_one_computation():
    (auc, _), (logloss, _), (calibration, _) = (
        RowComputation(name, "binary").computations() for name in ("auc", "logloss", "calibration")
    )
    assert auc == logloss == calibration
