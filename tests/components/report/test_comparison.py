"""Comparisons of two models that differ in a known way."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import spearmanr

from components.evaluation import bootstrap, intervals
from components.evaluation.verdict import Estimate, Metric
from components.report import comparison


def test_how_far_answers_are_from_each_other(make_rows):
    rows = make_rows()
    found = comparison.comparison(rows, [])
    one, other = rows.candidate.values, rows.baseline.values
    assert found.mean_change == pytest.approx(np.average(np.abs(one - other), weights=rows.weights))
    assert found.flipped == pytest.approx(np.average((one >= 0.5) != (other >= 0.5), weights=rows.weights))
    assert found.correlation == pytest.approx(spearmanr(one, other).statistic)
    assert 0 < found.overlap < 1


def test_a_model_is_like_itself(make_rows):
    rows = make_rows()
    found = comparison.comparison(dataclasses.replace(rows, baseline=rows.candidate), [])
    assert (found.mean_change, found.flipped, found.overlap) == (0, 0, 1)
    assert found.correlation == pytest.approx(1)


def test_slices_that_are_better_or_worse_by_more_than_chance(make_rows):
    rows = make_rows(3000, groups=None)
    rows.columns["city"][:] = np.array(["Oslo"] * 1000 + ["Rome"] * 1000 + ["Kyiv"] * 1000, object)
    rows.candidate.values[:1000] = rows.baseline.values[:1000]
    rows.candidate.values[1000:2000] = np.random.default_rng(1).random(1000)
    counted = bootstrap.counts(rows)
    slices, _ = intervals.slices(["auc"], rows, counted, intervals.sliced_by(rows, [["city"]]))
    found = comparison.comparison(rows, slices)
    assert (found.wins, found.losses) == (["city = Kyiv"], ["city = Rome"])


@pytest.mark.parametrize(
    ("direction", "interval", "better"),
    [
        ("higher", (0.1, 0.2), True), ("higher", (-0.2, -0.1), False), ("lower", (-0.2, -0.1), True),
        ("higher", (-0.1, 0.2), None), ("neither", (0.1, 0.2), None), ("higher", None, None),
    ],
)  # fmt: skip
def test_what_is_better(direction, interval, better):
    change = Estimate(value=0.15, interval=interval)
    metric = Metric(name="auc", better=direction, estimate=Estimate(value=0.7), change=change)
    assert comparison.better(metric) is better


def test_rows_are_paired_by_their_examples_also_where_these_are_equal(make_rows):
    one, other = make_rows(4), make_rows(5)
    one.examples[:] = [b"a", b"b", b"a", b"c"]
    other.examples[:] = [b"c", b"a", b"d", b"a", b"a"]
    paired = comparison._paired(one, other)
    assert paired.examples.tolist() == [b"a", b"a", b"c"]
    assert paired.candidate.values.tolist() == one.candidate.values[[0, 2, 3]].tolist()
    assert paired.baseline.values.tolist() == other.candidate.values[[1, 3, 0]].tolist()
