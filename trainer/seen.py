"""Counts of the training rows with each id, which tell what a model could memorise."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.input_columns import InputColumn
from trainer.inputs import Examples

FILE = "seen.npz"
"""The file beside the SavedModel's folder: the number of rows of the train split with each id, int64 [ids], by
column."""

_END = ":"
"""The suffix of names in the file, which keeps them from clashing with NumPy's parameters and file names."""
_BATCH = 65_536

Counts = npt.NDArray[np.int64]


def write(train: Examples, columns: Sequence[InputColumn], serving_model_dir: str) -> None:
    """Counts the rows with each id and writes `FILE`.

    Args:
        train: the train split.
        columns: the model's input columns.
        serving_model_dir: the SavedModel's folder.
    """
    found: dict[str, Counts] = {
        column.name: np.zeros(column.size, np.int64) for column in columns if column.kind != "numeric"
    }
    for features, _, _ in train.in_order(_BATCH):
        for name, counts in found.items():
            counts += _rows_with_each(features[name].numpy(), len(counts))
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **{name + _END: counts for name, counts in found.items()})
    with tf.io.gfile.GFile(os.path.join(os.path.dirname(serving_model_dir), FILE), "wb") as file:
        file.write(content.getvalue())


def _rows_with_each(ids: Counts, size: int) -> Counts:
    if ids.ndim == 2:  # an id that occurs twice in a list counts once
        rows, places = np.nonzero(ids >= 0)
        ids = np.unique(rows * size + ids[rows, places]) % size
    return np.bincount(ids, minlength=size)


def read(model: str) -> Mapping[str, Counts]:
    """Reads the counts in a model artifact's folder, int64 [ids] by column."""
    with tf.io.gfile.GFile(os.path.join(model, FILE), "rb") as file:
        return {key.removesuffix(_END): counts for key, counts in np.load(io.BytesIO(file.read())).items()}
