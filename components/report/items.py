"""The embeddings of items: neighbours and a map."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import sklearn.decomposition  # type: ignore[import-untyped]

from components.evaluation.answers import Floats
from components.evaluation.rows import Rows
from components.report.document import Map, Neighbours, Place
from components.report.model import Model
from schema.feature_spec import FeatureSpec

_CHOSEN, _NEAR = 8, 5
_ON_MAP = 300
_FEW_ROWS = 20
"""The fewest training rows of an item to show; with fewer, its embedding is hardly trained."""


def titles(rows: Rows, spec: FeatureSpec) -> dict[str, str]:
    """The titles of the items in the rows, by item; without a title column, the items themselves."""
    assert spec.ranking is not None, "asked for rankings only"
    items = rows.columns[spec.ranking.item]
    shown = rows.columns[spec.ranking.title] if spec.ranking.title else items
    return {str(item): str(title) for item, title in zip(items, shown, strict=True) if item is not None}


def items(model: Model, spec: FeatureSpec, names: Mapping[str, str]) -> tuple[list[Neighbours], Map | None]:
    """The neighbours of the most frequent items, and a map of more items.

    Args:
        model: the model; without embeddings of items there are no neighbours and no map.
        spec: the resolved spec, with a ranking.
        names: the items' titles, by item.
    """
    assert spec.ranking is not None, "asked for rankings only"
    column = spec.ranking.item
    vectors = model.embeddings(column) if column in model.ids else None
    if vectors is None:
        return [], None
    seen, tokens = model.seen[column], model.ids[column].tokens
    often = np.argsort(-seen[: len(tokens)], kind="stable")
    often = often[seen[often] >= _FEW_ROWS]
    if len(often) < _NEAR + 1:
        return [], None

    def name(place: int) -> str:
        return names.get(tokens[place], tokens[place])

    directions = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    neighbours = []
    for place in often[:_CHOSEN]:
        cosines = directions[often] @ directions[place]
        near = [other for other in np.argsort(-cosines, kind="stable") if often[other] != place][:_NEAR]
        neighbours.append(
            Neighbours(
                item=name(place),
                rows=int(seen[place]),
                near=[(name(often[other]), float(cosines[other])) for other in near],
            )
        )
    return neighbours, _map(vectors[often[:_ON_MAP]], [(name(place), int(seen[place])) for place in often[:_ON_MAP]])


def _map(vectors: Floats, named: list[tuple[str, int]]) -> Map | None:
    if vectors.shape[1] < 2 or not np.ptp(vectors, axis=0).any():
        return None
    components = sklearn.decomposition.PCA(2)
    places = components.fit_transform(vectors)
    return Map(
        places=[
            Place(name=name, x=float(x), y=float(y), rows=rows)
            for (name, rows), (x, y) in zip(named, places, strict=True)
        ],
        explained=float(components.explained_variance_ratio_.sum()),
    )
