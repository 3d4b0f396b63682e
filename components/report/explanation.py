"""Explanation of a list's order: the contributions of columns and crosses to the logits of some of its items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from components.evaluation import bootstrap
from components.evaluation.answers import Floats
from components.evaluation.metrics.lists import list_ndcg
from components.evaluation.rows import Rows, columns_of
from components.report.document import Contribution, Explained, Explanation, PartOfLogit
from components.report.model import Model
from components.report.texts import shown
from schema.feature_spec import FeatureSpec, Numeric
from trainer.models.attribution import Features, Share, Term

TOP = 3
"""The default number of a list's items to explain."""
_AVERAGE_ROWS = 10_000
_MEDIAN = "the list of the test split with the median NDCG@10, neither one of the best nor one of the worst"

Columns = Mapping[str, npt.NDArray[np.object_]]


def explain(
    model: Model,
    spec: FeatureSpec,
    rows: Rows,
    examples: Sequence[bytes],
    answers: Floats,
    chosen: Sequence[int] | None = None,
    labels: Floats | None = None,
    rule: str = "",
    top: int = TOP,
) -> Explanation:
    """Explains items of one list.

    Args:
        model: a model that is attributable.
        spec: the resolved spec, with a ranking.
        rows: rows of the test split; the mean of evenly spaced rows is the baseline of integrated gradients.
        examples: the list's rows, as serialized tf.Examples.
        answers: [rows of the list], the model's answers.
        chosen: the places in `examples` of the items to explain; by default those of the best items.
        labels: [rows of the list], the labels, if known.
        rule: the rule that chose the list; empty if a user asked for it.
        top: the number of best items to explain by default.
    """
    assert spec.ranking is not None, "asked for rankings only"
    order = np.argsort(-answers, kind="stable")
    rank = np.argsort(order)
    places = list(order[:top]) if chosen is None else sorted(chosen, key=lambda place: int(rank[place]))
    average = list(rows.examples[:: -(-len(rows) // _AVERAGE_ROWS)])
    features, apart = model.take_apart([examples[place] for place in places], average)
    columns = columns_of([examples[place] for place in places], spec)
    calibration = model.history["params"]["calibration"]
    titles = columns[spec.ranking.title or spec.ranking.item]
    return Explanation(
        column=spec.ranking.group,
        group=shown(columns[spec.ranking.group][0]),
        rule=rule,
        label=spec.label.kind,
        candidates=len(examples),
        average_rows=len(average),
        calibration=None if calibration == "none" else calibration,
        items=[
            Explained(
                place=int(rank[place]) + 1,
                item=shown(columns[spec.ranking.item][row]),
                title=shown(titles[row]),
                answer=float(answers[place]),
                label=None if labels is None else f"{labels[place]:g}",
                logit=model.bias + sum(share.logit for share in apart[row]),
                calibrated=None if calibration == "none" else float(special.logit(answers[place])),
                bias=model.bias,
                parts=[
                    PartOfLogit(
                        name=share.part, logit=share.logit, baseline=share.baseline, gap=share.gap, steps=share.steps
                    )
                    for share in apart[row]
                ],
                contributions=_contributions(model, spec, apart[row], features, columns, row),
            )
            for row, place in enumerate(places)
        ],
    )


def of_typical_list(model: Model, spec: FeatureSpec, rows: Rows) -> Explanation | None:
    """Explains the best items of the list with the median NDCG@10; None if no list has an NDCG."""
    lists = [
        (list_ndcg(rows.labels[members], rows.candidate.values[members]), members)
        for members in bootstrap.of_groups(rows)
    ]
    known = sorted(((value, members) for value, members in lists if np.isfinite(value)), key=lambda each: each[0])
    if not known:
        return None
    _, members = known[len(known) // 2]
    answers, labels = rows.candidate.values[members], rows.labels[members]
    return explain(model, spec, rows, list(rows.examples[members]), answers, labels=labels, rule=_MEDIAN)


def _contributions(
    model: Model, spec: FeatureSpec, shares: Sequence[Share], features: Features, columns: Columns, row: int
) -> list[Contribution]:
    """The contributions to a row's logit, the largest first."""
    found = []
    for share in shares:
        for term in share.terms:
            ids = _ids(term, features, model, row)
            found.append(
                Contribution(
                    part=share.part,
                    what=term.column,
                    value=_value(term, ids, model, spec, columns, features, row),
                    contribution=term.contribution,
                    weight=term.weight,
                    rows=int(model.seen[term.column][ids[0]])
                    if len(ids) == 1 and _has_own_id(model, term.column, ids[0])
                    else None,
                )
            )
    return sorted(found, key=lambda each: -abs(each.contribution))


def _ids(term: Term, features: Features, model: Model, row: int) -> list[int]:
    """The ids that a term covers; empty for a number."""
    if term.id is not None:
        return [term.id]
    if term.column not in model.ids:
        return []
    return [int(each) for each in np.atleast_1d(features[term.column].numpy()[row]) if each >= 0]


def _has_own_id(model: Model, column: str, place: int) -> bool:
    """Whether an id stands for one value, so that the rows of the id are the rows of the value."""
    ids = model.ids[column]
    return ids.vocabulary is None or not len(ids.tokens) <= place < len(ids.tokens) + ids.buckets


def _value(
    term: Term, ids: Sequence[int], model: Model, spec: FeatureSpec, columns: Columns, features: Features, row: int
) -> str:
    """The readable value of a term: the raw value if the row has a single one, else the ids' tokens."""
    name = term.column
    raw = _raw(name, spec, columns, row)
    if name not in model.ids:
        return raw if raw is not None else f"{float(features[name].numpy()[row]):g}"
    texts = []
    for place in ids:
        own = model.token(name, place)
        if not _has_own_id(model, name, place):
            own = f"{raw} (not in the vocabulary)" if raw else "(not in the vocabulary)"
        elif place >= len(model.ids[name].tokens) and raw:
            own = f"{raw} ({own})"
        texts.append(own)
    return shown(tuple(texts))


def _raw(name: str, spec: FeatureSpec, columns: Columns, row: int) -> str | None:
    """The raw value of a column, or the values of a cross; None if there is none, or several."""
    cross = next((cross for cross in spec.crosses if cross.name == name), None)
    if cross is not None:
        values = [_raw(column, spec, columns, row) for column in cross.columns]
        return None if None in values else " × ".join(map(str, values))
    base = name.removesuffix("_bucket")
    if name not in spec.features and isinstance(spec.features.get(base), Numeric):
        name = base
    value = columns[name][row] if name in columns else None
    return None if value is None or isinstance(value, tuple) else shown(value)
