"""Warm start: a model starts from the weights of an earlier one (Cheng et al., Wide & Deep Learning, 2016, 4.2).

A file beside every SavedModel describes its weights. A warm start copies the rows of tables token by token, since the
vocabularies of later data have gained, lost and reordered tokens. It copies all other weights of a part (hidden layers,
cross network) unchanged, if the part has the same columns and layers. New weights start as in any model, and so does
the state of the optimizers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer import vocabulary
from trainer.input_columns import Ids
from trainer.models.embeddings import FusedEmbedding
from trainer.models.joint import Joint, ModelPart

FILE = "weights.json"
"""The file beside the SavedModel's folder."""

_KEY = "_weights/{}/.ATTRIBUTES/VARIABLE_VALUE"
"""The key of a weight in the SavedModel's checkpoint; see `trainer.export`."""

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TakenOver:
    """The weights of a model that came from an earlier one."""

    rows: int
    """The number of tables' rows that were copied."""
    all_rows: int
    parts: tuple[str, ...]
    """The names of the parts whose other weights were copied."""


def write(model: Joint, ids: Mapping[str, Ids], serving_model_dir: str) -> None:
    """Writes the description of a saved model's weights.

    Args:
        model: the saved model.
        ids: the ids of the model's columns. Their tokens are in the SavedModel already.
        serving_model_dir: the SavedModel's folder.
    """
    place = {id(variable): index for index, variable in enumerate(model.variables)}
    content = {
        "ids": {name: asdict(replace(each, tokens=())) for name, each in ids.items()},
        "widths": {column.table: column.width for column in model.columns if column.table},
        "bias": place[id(model.bias)],
        "parts": {
            part.name: {
                "columns": _columns(part),
                "others": [place[id(variable)] for variable in _others(part)],
                "tables": {
                    name: {"variable": place[id(layer.table)], "first_row": rows.start, "ids": _owner(part, name, rows)}
                    for layer in part.embeddings
                    for name, rows in layer.tables.items()
                },
            }
            for part in model.parts
        },
    }
    with tf.io.gfile.GFile(os.path.join(os.path.dirname(serving_model_dir), FILE), "w") as file:
        file.write(json.dumps(content, indent=1))


class EarlierModel:
    """An earlier model's weights and their description from `write`.

    Args:
        serving_model_dir: the SavedModel's folder.

    Raises:
        tf.errors.NotFoundError: there is no description of the weights.
    """

    def __init__(self, serving_model_dir: str) -> None:
        with tf.io.gfile.GFile(os.path.join(os.path.dirname(serving_model_dir), FILE)) as file:
            self._content: Mapping[str, Any] = json.loads(file.read())
        self._weights = tf.train.load_checkpoint(os.path.join(serving_model_dir, "variables", "variables"))
        tokens = os.path.join(serving_model_dir, "assets", vocabulary.ASSET)
        self._tokens = vocabulary.read(tokens) if tf.io.gfile.exists(tokens) else {}

    @property
    def widths(self) -> Mapping[str, int]:
        """The widths of the embeddings in the deep part, by table. A new model must have the same, since embeddings of
        another width, which the rule may give to a grown vocabulary, could not be copied.
        """
        widths: Mapping[str, int] = self._content["widths"]
        return widths

    def start(self, model: Joint, ids: Mapping[str, Ids]) -> TakenOver:
        """Copies the weights that a model shares with this one.

        Args:
            model: the model, with initial weights.
            ids: the ids of the model's columns.

        Returns:
            The extent of the copied weights.
        """
        earlier_parts = self._content["parts"]
        rows, all_rows, parts = 0, 0, []
        for part in model.parts:
            earlier = earlier_parts.get(part.name, {"tables": {}, "columns": None})
            for layer in part.embeddings:
                rows += self._start_tables(part, layer, earlier["tables"], ids)
                all_rows += layer.table.shape[0]
            if earlier["columns"] == _columns(part) and self._copied(_others(part), earlier["others"]):
                parts.append(part.name)
        self._copied([model.bias], [self._content["bias"]])
        return TakenOver(rows, all_rows, tuple(parts))

    def copy_to(self, model: Joint) -> None:
        """Copies all weights to a model of the same columns, ids and parameters."""
        for place, variable in enumerate(model.variables):
            variable.assign(self._read(place))

    def _start_tables(
        self, part: ModelPart, layer: FusedEmbedding, earlier: Mapping[str, Any], ids: Mapping[str, Ids]
    ) -> int:
        """Fills a fused table; returns the number of copied rows."""
        values = layer.table.numpy()
        taken_over = 0
        for name, rows in layer.tables.items():
            table = earlier.get(name)
            if table is None:
                continue
            old_values = self._read(table["variable"])
            if old_values.shape[1:] != values.shape[1:]:
                continue
            new, old = same_rows(ids[_owner(part, name, rows)], self._ids(table["ids"]))
            values[rows.start + new] = old_values[table["first_row"] + old]
            taken_over += len(new)
        layer.table.assign(values)
        return taken_over

    def _ids(self, column: str) -> Ids:
        ids = Ids(**self._content["ids"][column])
        return replace(ids, tokens=self._tokens[ids.vocabulary]) if ids.vocabulary else ids

    def _copied(self, variables: list[keras.Variable], places: list[int]) -> bool:
        """Copies the earlier values to variables if all shapes are equal; returns whether they are."""
        values = [self._read(place) for place in places]
        if [tuple(variable.shape) for variable in variables] != [value.shape for value in values]:
            return False
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return True

    def _read(self, place: int) -> npt.NDArray[np.float32]:
        value: npt.NDArray[np.float32] = self._weights.get_tensor(_KEY.format(place))
        return value


def same_rows(now: Ids, then: Ids) -> tuple[Rows, Rows]:
    """The ids with the same meaning now and then: two int64 vectors of the same length.

    Tokens match by text. Buckets match only if their number is equal, since values are spread over them by hash.
    """
    places: list[tuple[int, int]] = []
    if (now.vocabulary is None) == (then.vocabulary is None):
        before = {token: place for place, token in enumerate(then.tokens)}
        places += [(place, before[token]) for place, token in enumerate(now.tokens) if token in before]
        if now.buckets == then.buckets:
            places += [(len(now.tokens) + bucket, len(then.tokens) + bucket) for bucket in range(now.buckets)]
    if now.missing and then.missing:
        places.append((now.size - 1, then.size - 1))
    new, old = np.array(places, np.int64).reshape(-1, 2).T
    return new, old


def _others(part: ModelPart) -> list[keras.Variable]:
    """A part's weights, without its tables and the states of random generators."""
    tables = {id(layer.table) for layer in part.embeddings}
    return [
        variable
        for variable in part.variables
        if id(variable) not in tables and keras.backend.is_float_dtype(variable.dtype)
    ]


def _columns(part: ModelPart) -> list[list[Any]]:
    """A description of a part's columns, without their number of ids."""
    return [[column.name, column.kind, column.width, column.table, column.combiner] for column in part.columns]


def _owner(part: ModelPart, table: str, rows: range) -> str:
    """The column whose ids are a table's rows: the one with the most ids of those that share the table."""
    return next(
        column.name for column in part.columns if table in (column.table, column.name) and column.size == len(rows)
    )
