"""Curves, against scikit-learn's."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import auc, average_precision_score, roc_auc_score

from components.evaluation import bootstrap
from components.evaluation.answers import Answers
from components.report import curves


@pytest.fixture
def found(make_rows):
    rows = make_rows(5000)
    return rows, curves.curves(rows, bootstrap.counts(rows))


def test_the_area_under_the_roc_curve_is_the_auc(found):
    rows, drawn = found
    exact = roc_auc_score(rows.labels, rows.candidate.values, sample_weight=rows.weights)
    assert auc(*np.transpose(drawn.roc)) == pytest.approx(exact, abs=2e-3)
    assert (drawn.roc[0], drawn.roc[-1]) == ((0, 0), (1, 1))
    assert len(drawn.roc) <= 202


def test_precision_by_recall(found):
    rows, drawn = found
    exact = average_precision_score(rows.labels, rows.candidate.values, sample_weight=rows.weights)
    assert auc(*np.transpose(drawn.precision_recall)) == pytest.approx(exact, abs=5e-3)
    assert drawn.positives == pytest.approx(np.average(rows.labels, weights=rows.weights))


def test_deciles_are_scikit_learns(make_rows):
    rows = make_rows(5000)
    rows.weights[:] = 1
    drawn = curves.curves(rows, bootstrap.counts(rows))
    observed, predicted = calibration_curve(rows.labels, rows.candidate.values, n_bins=10, strategy="quantile")
    assert [decile.predicted for decile in drawn.calibration] == pytest.approx(predicted, abs=1e-3)
    assert [decile.observed.value for decile in drawn.calibration] == pytest.approx(observed, abs=2e-3)
    assert drawn.calibration_error == pytest.approx(np.abs(observed - predicted).mean(), abs=1e-3)
    assert all(
        low <= each.observed.value <= high for each in drawn.calibration for low, high in [each.observed.interval]
    )


def test_each_kind_of_rows_is_spread_over_all_bins(found):
    _, drawn = found
    assert set(drawn.distribution.shares) == {"positive", "negative"}
    assert [sum(shares) for shares in drawn.distribution.shares.values()] == pytest.approx([1, 1])


def test_labels_of_one_class_have_no_roc_curve(make_rows):
    rows = make_rows()
    rows.labels[:] = 1
    drawn = curves.curves(rows, bootstrap.counts(rows))
    assert (drawn.roc, drawn.precision_recall, len(drawn.calibration)) == ([], [], 10)


def test_rows_of_weight_0_are_no_class_of_their_own(make_rows):
    rows = make_rows()
    rows.weights[rows.labels == 1] = 0
    drawn = curves.curves(rows, bootstrap.counts(rows))
    assert (drawn.roc, drawn.precision_recall) == ([], [])
    assert not bootstrap.has_both_classes(rows)


def test_of_many_classes_confidence_is_compared_with_being_right(make_rows):
    rows = make_rows()
    object.__setattr__(rows, "kind", "classes")
    object.__setattr__(rows, "candidate", Answers(np.full(400, 0.5), np.ones(400, int), np.full(400, 0.7)))
    drawn = curves.curves(rows, bootstrap.counts(rows))
    assert drawn.calibration[0].predicted == pytest.approx(0.7)
    assert set(drawn.distribution.shares) == {"right", "wrong"}
