"""The rows with the worst errors."""

from __future__ import annotations

import numpy as np

from components.evaluation import bootstrap
from components.evaluation.rows import Rows
from components.report.document import Error
from components.report.texts import shown
from schema.feature_spec import FeatureSpec

_ROWS = 10


def errors(rows: Rows, spec: FeatureSpec) -> list[Error]:
    """The ten rows with the highest loss; with a ranking, at most one per group."""
    losses = bootstrap.losses(rows, rows.candidate)
    found: list[int] = []
    groups: set[int] = set()
    for place in np.argsort(-losses, kind="stable"):
        group = int(rows.groups[place]) if rows.groups is not None else int(place)
        if group not in groups:
            found.append(int(place))
            groups.add(group)
        if len(found) == _ROWS:
            break
    return [
        Error(
            label=f"{rows.labels[place]:g}",
            answer=float(rows.candidate.values[place]),
            loss=float(losses[place]),
            values={name: shown(rows.columns[name][place]) for name in spec.columns if name in rows.columns},
        )
        for place in found
    ]
