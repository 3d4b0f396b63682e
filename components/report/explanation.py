"""Why a list is ordered as it is: what each column and cross adds to the logits of some of its items."""

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
"""So many items of a list are explained where nobody asks for others."""
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
        model: one that is attributable.
        spec: the resolved spec, with a ranking.
        rows: of the test split; gradients are integrated from the mean of evenly spaced ones of them.
        examples: the list's rows, serialized.
        answers: the model's, to each.
        chosen: places in `examples` of what is explained; None are the best.
        labels: of the rows, where they are known.
        rule: how the list was chosen, where nobody asked for it.
        top: how many of the best.
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
    """Explains the best items of the list whose NDCG@10 is the median of all that have one; None where none has."""
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
    """All of a row, the largest first."""
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
    """What the term is about; empty for a number."""
    if term.id is not None:
        return [term.id]
    if term.column not in model.ids:
        return []
    return [int(each) for each in np.atleast_1d(features[term.column].numpy()[row]) if each >= 0]


def _has_own_id(model: Model, column: str, place: int) -> bool:
    """Whether an id stands for one value, so that the rows that have it are those of the value."""
    ids = model.ids[column]
    return ids.vocabulary is None or not len(ids.tokens) <= place < len(ids.tokens) + ids.buckets


def _value(
    term: Term, ids: Sequence[int], model: Model, spec: FeatureSpec, columns: Columns, features: Features, row: int
) -> str:
    """What a person would call it: as it is in the data, where the row has one value of it."""
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
    """A column's value, or a cross's values; None where there is none, or several."""
    cross = next((cross for cross in spec.crosses if cross.name == name), None)
    if cross is not None:
        values = [_raw(column, spec, columns, row) for column in cross.columns]
        return None if None in values else " × ".join(map(str, values))
    base = name.removesuffix("_bucket")
    if name not in spec.features and isinstance(spec.features.get(base), Numeric):
        name = base
    value = columns[name][row] if name in columns else None
    return None if value is None or isinstance(value, tuple) else shown(value)
