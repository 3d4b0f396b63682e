"""How many of the data's values have an id of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from components.report.document import Vocabulary
from components.report.model import Ints, Model
from schema.feature_spec import FeatureSpec
from trainer.vocabulary import SEPARATOR

_MOST_FREQUENT = 3


def vocabularies(model: Model, spec: FeatureSpec, ids: Mapping[str, Ints]) -> list[Vocabulary]:
    """Those of the columns that the model looks at, crosses last.

    Args:
        model: what it has seen in training.
        spec: the resolved spec.
        ids: column -> ids of the test split's rows, [rows, any]; empty where the model was not run on them.
    """
    crosses = {cross.name for cross in spec.crosses}
    result = []
    for name, seen in model.seen.items():
        own = model.ids[name]
        if own.vocabulary is None:
            continue  # hashed, or buckets of numbers: no value has an id of its own
        first_bucket, after = len(own.tokens), len(own.tokens) + own.buckets
        train_rows = max(1, model.history["train_rows"])
        # A row may have several such values, but those of several buckets are few.
        unknown = {"train": min(1.0, float(seen[first_bucket:after].sum()) / train_rows)}
        if name in ids:
            unknown["test"] = float(((ids[name] >= first_bucket) & (ids[name] < after)).any(axis=1).mean())
        frequent = np.argsort(-seen[:first_bucket], kind="stable")[:_MOST_FREQUENT]
        result.append(
            Vocabulary(
                name=name,
                is_cross=name in crosses,
                tokens=first_bucket,
                buckets=own.buckets,
                unknown=unknown,
                possible=_combinations(own.tokens) if name in crosses else None,
                frequent=[(model.token(name, int(place)), int(seen[place])) for place in frequent],
            )
        )
    return sorted(result, key=lambda each: each.is_cross)


def _combinations(tokens: Sequence[str]) -> int:
    """How many there would be of the values that are part of some token."""
    parts = [token.split(SEPARATOR) for token in tokens]
    return int(np.prod([len(set(values)) for values in zip(*parts, strict=True)], dtype=np.int64)) if parts else 0
