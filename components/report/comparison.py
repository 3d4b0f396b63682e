"""Comparison of two models on the same rows."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy import stats

from components.evaluation import bootstrap, intervals, rows
from components.evaluation.answers import Answers, Floats
from components.evaluation.rows import Rows
from components.evaluation.verdict import Interval, Metric, Slice
from components.report.document import Compared, Difference, Report
from components.report.ranking import LENGTH
from schema.errors import RanklineError
from schema.feature_spec import FeatureSpec


def comparison(of: Rows, slices: Sequence[Slice]) -> Difference:
    """The differences between the candidate's and the baseline's answers.

    Args:
        of: the rows, with the answers of both models.
        slices: the slices, whose metrics have changes.
    """
    assert of.baseline is not None, "asked where there are two"
    one, other = of.candidate.values, of.baseline.values
    weights = of.weights / of.weights.sum()
    first = intervals.FIRST[of.kind]
    changes = {each.name: metric for each in slices if not each.few for metric in each.metrics if metric.name == first}
    return Difference(
        mean_change=float(weights @ np.abs(one - other)),
        flipped=_flipped(of, of.candidate, of.baseline),
        correlation=float(stats.spearmanr(one, other).statistic) if np.ptp(one) and np.ptp(other) else None,
        overlap=_overlap(of, one, other) if of.groups is not None and of.kind == "binary" else None,
        wins=[name for name, metric in changes.items() if better(metric) is True],
        losses=[name for name, metric in changes.items() if better(metric) is False],
    )


def better(metric: Metric) -> bool | None:
    """Whether a change is an improvement; None if it may be chance, or if no direction is better."""
    interval: Interval = metric.change.interval if metric.change else None
    if interval is None or metric.better == "neither" or interval[0] <= 0 <= interval[1]:
        return None
    return (interval[0] > 0) == (metric.better == "higher")


def compare(baseline: Report, candidate: Report) -> Compared:
    """Compares two runs on the rows that both have kept.

    Args:
        baseline: the report of the run to compare with.
        candidate: the report of the run to compare.

    Raises:
        RanklineError: the runs have no kept rows in common.
    """
    spec = FeatureSpec.model_validate_json(candidate.origin.spec)
    one, other = (
        rows.read(_evaluation(report), FeatureSpec.model_validate_json(report.origin.spec))
        for report in (candidate, baseline)
    )
    of = _paired(one, other)
    if not len(of):
        raise RanklineError(
            f"report: expected runs that were judged on the same rows, received {baseline.run_id} and "
            f"{candidate.run_id}, which have none in common"
        )
    counted = bootstrap.counts(of)
    slices, _ = intervals.slices(bootstrap.names(of), of, counted, intervals.sliced_by(of, spec.slices))
    return Compared(
        run_ids=(baseline.run_id, candidate.run_id),
        dataset=candidate.dataset,
        models=(baseline.model, candidate.model),
        unit=candidate.unit,
        rows=len(of),
        metrics=intervals.metrics(bootstrap.names(of), of, counted, intervals.sliced(of, bootstrap.names(of))),
        slices=slices,
        comparison=comparison(of, slices),
    )


def _evaluation(report: Report) -> str:
    return next(made.uri for made in report.origin.artifacts if made.what == "evaluation")


def _paired(one: Rows, other: Rows) -> Rows:
    """The rows of `one` that `other` has, too, with the answers of `other` as the baseline's."""
    places = {key: place for place, key in enumerate(_numbered(other.examples.tolist()))}
    pairs = [(place, places[key]) for place, key in enumerate(_numbered(one.examples.tolist())) if key in places]
    own, others = np.array(pairs, np.int64).reshape(-1, 2).T
    return dataclasses.replace(one[own], baseline=other.candidate[others])


def _numbered(examples: Sequence[bytes]) -> list[tuple[bytes, int]]:
    """Examples with the number of equal examples before them, which makes them distinct."""
    times: Counter[bytes] = Counter()
    keys = []
    for example in examples:
        keys.append((example, times[example]))
        times[example] += 1
    return keys


def _flipped(of: Rows, one: Answers, other: Answers) -> float | None:
    if of.kind == "number":
        return None
    classes = [(each.values >= 0.5) if of.kind == "binary" else each.classes for each in (one, other)]
    return float(np.average(classes[0] != classes[1], weights=of.weights))


def _overlap(of: Rows, one: Floats, other: Floats) -> float:
    shares = []
    for members in bootstrap.of_groups(of):
        best = [set(np.argsort(-values[members], kind="stable")[:LENGTH]) for values in (one, other)]
        shares.append(len(best[0] & best[1]) / len(best[0]))
    return float(np.mean(shares))
