"""The vocabularies of the model, and the share of values outside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from components.report.document import Vocabulary
from components.report.model import Ints, Model
from schema.feature_spec import FeatureSpec
from trainer.vocabulary import SEPARATOR

_MOST_FREQUENT = 3


def vocabularies(model: Model, spec: FeatureSpec, ids: Mapping[str, Ints]) -> list[Vocabulary]:
    """The vocabularies of the model's columns, crosses last.

    Args:
        model: the model.
        spec: the resolved spec.
        ids: the ids of the test split's rows by column, [rows, any]; empty if the model was not run on them.
    """
    crosses = {cross.name for cross in spec.crosses}
    result = []
    for name, seen in model.seen.items():
        own = model.ids[name]
        if own.vocabulary is None:
            continue  # hashed, or buckets of numbers: no value has an id of its own
        first_bucket, after = len(own.tokens), len(own.tokens) + own.buckets
        train_rows = max(1, model.history["train_rows"])
        # Counts a row once per bucket, so rows with values in several buckets count repeatedly; these are few.
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
    """The number of possible combinations of the values that occur in tokens of a cross."""
    parts = [token.split(SEPARATOR) for token in tokens]
    return int(np.prod([len(set(values)) for values in zip(*parts, strict=True)], dtype=np.int64)) if parts else 0
