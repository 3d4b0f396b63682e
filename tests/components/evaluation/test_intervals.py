"""Metrics with intervals, overall and by slice."""

import numpy as np
import pytest

from components.evaluation import bootstrap, intervals
from components.evaluation.results import Sliced


def sliced(rows, mask=slice(None)) -> Sliced:
    """What the Evaluator finds over the rows."""
    own = rows[mask]
    values = [
        {name: bootstrap.once(bootstrap.measure(name, own, answers), own.weights) for name in bootstrap.names(own)}
        for answers in (own.candidate, own.baseline)
        if answers
    ]
    return Sliced(len(own), values[0], values[1] if len(values) > 1 else {}, len(own), int(own.labels.sum()))


def test_a_metric_lies_within_its_interval_and_a_better_model_above_its_baseline(make_rows):
    rows = make_rows(2000, groups=None)
    found = {
        metric.name: metric
        for metric in intervals.metrics(bootstrap.names(rows), rows, bootstrap.counts(rows), sliced(rows))
    }
    assert list(found) == ["auc", "logloss", "calibration"]
    for metric in found.values():
        low, high = metric.estimate.interval
        assert low < metric.estimate.value < high
    assert found["auc"].change.interval[0] > 0
    assert found["logloss"].change.interval[1] < 0
    assert found["auc"].change.value == pytest.approx(found["auc"].estimate.value - found["auc"].baseline)


def test_an_interval_of_a_change_is_of_pairs_and_so_narrower_than_those_of_both(make_rows):
    rows = make_rows(2000, groups=None)
    auc = intervals.metrics(bootstrap.names(rows), rows, bootstrap.counts(rows), sliced(rows))[0]
    width, width_of_change = (high - low for low, high in (auc.estimate.interval, auc.change.interval))
    assert width_of_change < width


def test_without_a_baseline_there_is_no_change(make_rows):
    rows = make_rows(baseline=False)
    found = intervals.metrics(bootstrap.names(rows), rows, bootstrap.counts(rows), sliced(rows))
    assert [metric.name for metric in found] == ["auc", "logloss", "calibration", "gauc", "ndcg@10"]
    assert all(metric.change is None for metric in found)


def test_metrics_of_other_labels_have_no_interval(make_rows):
    rows = make_rows()
    found = intervals.metrics(
        ["bought.auc"], rows, bootstrap.counts(rows), Sliced(len(rows), {"bought.auc": 0.6}, {}, len(rows), 1)
    )
    assert [(metric.name, metric.better, metric.estimate.interval) for metric in found] == [
        ("bought.auc", "higher", None)
    ]


def test_the_worst_slices_come_first_and_those_with_few_rows_last(make_rows):
    rows = make_rows(2000, groups=200)
    cities = np.array(["Oslo"] * 1000 + ["Rome"] * 950 + ["Kyiv"] * 50, object)
    rows.columns["city"][:] = cities
    rows.candidate.values[:1000] = np.random.default_rng(1).random(1000)  # knows nothing of Oslo
    rows.candidate.values[-50:] = 1 - rows.labels[-50:]  # is wrong in all of Kyiv
    found = {(("city", city),): sliced(rows, cities == city) for city in ("Rome", "Kyiv", "Oslo")}
    slices, more = intervals.slices(bootstrap.names(rows), rows, bootstrap.counts(rows), {**found, (): sliced(rows)})
    assert [(each.name, each.few) for each in slices] == [
        ("city = Oslo", False), ("city = Rome", False), ("city = Kyiv", True),
    ]  # fmt: skip
    assert more == 0
    assert slices[0].groups == len(np.unique(rows.groups[:1000]))


def test_lists_are_in_the_slices_of_all_their_values(make_rows):
    rows = make_rows(100, groups=None)
    rows.columns["city"][:] = [("a", "b") if place % 2 else ("a",) for place in range(100)]
    found = {(("city", value),): Sliced(100, {"auc": 0.5}, {}, 100, 50) for value in "ab"}
    slices, _ = intervals.slices(["auc"], rows, bootstrap.counts(rows), found)
    widths = {each.name: np.ptp(each.metrics[0].estimate.interval) for each in slices}
    assert widths["city = a"] < widths["city = b"]  # all rows, half of them
