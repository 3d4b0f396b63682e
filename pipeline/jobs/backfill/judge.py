"""Judges pushed models on a span that they have not seen."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import tensorflow as tf
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from components.evaluation.answers import Floats
from pipeline.jobs.compare.metrics import JudgedRows
from schema import reader
from schema.answers import LOGIT
from schema.dataset import Dataset
from schema.errors import RanklineError
from schema.feature_spec import LABEL, WEIGHT
from schema.lists import as_lists


@dataclass(frozen=True)
class Judged:
    """The rows of one or more spans, and two models' logits for them.

    Attributes:
        labels: the labels, [rows], 0 or 1.
        weights: the weights, [rows].
        once: the logits of the first pushed model, [rows].
        continuous: the logits of the model that was served when the rows came, [rows].
    """

    labels: Floats
    weights: Floats
    once: Floats
    continuous: Floats

    def metrics(self) -> dict[str, dict[str, float]]:
        """`once` and `continuous` -> metric -> value."""
        rows = JudgedRows(self.labels, self.weights, None)
        return {"once": rows.metrics(self.once), "continuous": rows.metrics(self.continuous)}

    def save(self, path: Path) -> None:
        """Writes an `.npz` file, completely or not at all."""
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, **vars(self))
        partial.rename(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads a file of `save`."""
        with np.load(path) as arrays:
            return cls(**arrays)

    @classmethod
    def joined(cls, several: Iterable[Self]) -> Self:
        """The rows of several spans together."""
        columns = [vars(each) for each in several]
        return cls(**{name: np.concatenate([column[name] for column in columns]) for name in columns[0]})


def judge(dataset: Dataset, once: str, continuous: str) -> Judged:
    """Asks two models for the logits of all rows in a dataset's files.

    Args:
        dataset: a dataset whose label has two classes.
        once: the folder of the SavedModel that was pushed first.
        continuous: the folder of the SavedModel that is served.
    """
    spec = dataset.spec
    found: dict[str, list[Floats]] = {name: [] for name in ("labels", "weights", "once", "continuous")}
    encoder = RecordBatchToExamplesEncoder()
    for path in (path for paths in dataset.files.values() for path in paths):
        for batch in reader.read(path, spec):
            labels = batch[LABEL].to_numpy().astype(np.float64)
            found["labels"].append(labels)
            found["weights"].append(
                batch[WEIGHT].to_numpy().astype(np.float64) if spec.weight else np.ones_like(labels)
            )
            examples = tf.constant(encoder.encode(as_lists(batch)))
            for name, folder in (("once", once), ("continuous", continuous)):
                found[name].append(_model(folder)(examples)[LOGIT].numpy().astype(np.float64))
    return Judged(**{name: np.concatenate(arrays) for name, arrays in found.items()})


@functools.lru_cache(maxsize=2)
def _model(folder: str) -> Any:
    """The model's function that takes serialized examples."""
    if not Path(folder).is_dir():
        raise RanklineError(f"{folder}: expected the version that was pushed, found none; put it back, or begin anew")
    return tf.saved_model.load(folder).signatures["serving_default"]
