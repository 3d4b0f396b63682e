"""Memorisation and generalisation: metrics by how often values were seen in training, the model's parts, weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from components.evaluation import bootstrap, intervals
from components.evaluation.bootstrap import Counts
from components.evaluation.rows import Rows
from components.report.document import Familiarity, Part, Weight
from components.report.model import Ints, Looked, Model
from schema.feature_spec import FeatureSpec
from trainer.auc import auc

_BINS = (("not in the vocabulary", -1, 0), ("in up to 99 rows", 0, 99), ("in 100 to 999 rows", 99, 999),
         ("in 1,000 rows or more", 999, np.inf))  # fmt: skip
_FEW_ROWS = 50
_WEIGHTS = 20


def familiarity(rows: Rows, counted: Counts, model: Model, spec: FeatureSpec, looked: Looked) -> list[Familiarity]:
    """The first metric by how often a row's value was seen in training; of several values, the most frequent counts.

    Covers the ranking's group and item and the crosses, each if more than one bin has enough rows.

    Args:
        rows: the rows.
        counted: the counts of these rows in the replicates.
        model: the model.
        spec: the resolved spec.
        looked: the model's ids of the rows.
    """
    roles = (spec.ranking.group, spec.ranking.item) if spec.ranking else ()
    result = []
    for name in (*roles, *(cross.name for cross in spec.crosses)):
        if name not in looked.ids or model.ids[name].vocabulary is None:
            continue
        times = _times_seen(looked.ids[name], model.seen[name], len(model.ids[name].tokens))
        found = []
        for title, above, most in _BINS:
            mask = (times > above) & (times <= most)
            if mask.sum() >= _FEW_ROWS:
                own, first = rows[mask], intervals.FIRST[rows.kind]
                sliced = intervals.sliced(own, [first])
                if first in sliced.candidate:
                    metric = intervals.metric(first, own, counted[:, mask], sliced)
                    found.append(Familiarity(what=name, seen=title, rows=len(own), metric=metric))
        result += found if len(found) > 1 else []
    return result


def _times_seen(ids: Ints, seen: Ints, tokens: int) -> Ints:
    """The number of training rows with each row's most frequent token, [rows]; 0 if no token has an id of its own."""
    known = (ids >= 0) & (ids < tokens)
    times: Ints = np.where(known, seen[np.where(known, ids, 0)], 0).max(axis=1, initial=0)
    return times


def parts(rows: Rows, looked: Looked) -> list[Part]:
    """The spread, share and AUC of each part's logits on the rows."""
    spreads = {name: float(np.sqrt(np.cov(share, aweights=rows.weights))) for name, share in looked.parts.items()}
    total = sum(spreads.values()) or 1.0
    told = bootstrap.has_both_classes(rows)
    return [
        Part(
            name=name,
            spread=spreads[name],
            share=spreads[name] / total,
            metric=auc(rows.labels, share, rows.weights) if told else None,
        )
        for name, share in looked.parts.items()
    ]


def weights(model: Model, spec: FeatureSpec) -> list[Weight]:
    """The largest weights of crosses in the wide part, by absolute value."""
    crosses = {cross.name for cross in spec.crosses}
    found: Mapping[str, np.ndarray] = {
        name: values[: len(model.ids[name].tokens)] for name, values in model.wide_weights.items() if name in crosses
    }
    heaviest = sorted(
        (
            (float(values[place]), name, int(place))
            for name, values in found.items()
            for place in np.argsort(-np.abs(values))[:_WEIGHTS]
        ),
        key=lambda entry: -abs(entry[0]),
    )[:_WEIGHTS]
    return [
        Weight(what=name, token=model.token(name, place), weight=weight, rows=int(model.seen[name][place]))
        for weight, name, place in heaviest
        if weight
    ]
