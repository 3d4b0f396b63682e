"""The data that all models of a comparison share: the transformed splits, and lists to rank."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_transform as tft

from components.evaluation.answers import Floats, Ints
from pipeline.jobs.compare.metrics import JudgedRows
from schema.catalogue import Catalogue, catalogue
from schema.dataset import Dataset
from schema.feature_spec import LABEL, WEIGHT, Categorical, FeatureSpec, Numeric
from serving.features import Column
from trainer import inputs, preprocessing, transform_sources
from trainer.input_columns import InputColumn, ids_of, input_columns
from trainer.models.candidates import Candidates
from trainer.raw_to_columns import RawTensors, RawToColumns
from trainer.vocabulary import SEPARATOR

Columns = Mapping[str, tf.Tensor]

PAIR = "group x item"
"""The name of the ranking's group and item together, in counts."""

_BATCH = 8192
_LISTS = 200
"""The largest number of groups for which all items are ranked."""
_RANKED_ROWS = 500_000
"""The largest number of rows for these rankings: with more items, fewer groups are ranked."""
_TYPES = {"string": "string", "integer": "int64", "float": "float32"}


@dataclass(frozen=True)
class RankedLists:
    """All items for some groups.

    Attributes:
        candidates: the candidates of each group: all items.
        shown: the number of training rows with each item, [items].
    """

    candidates: Sequence[Candidates]
    shown: Ints


@dataclass(frozen=True)
class ComparedData:
    """A dataset, ready for training.

    Attributes:
        columns: the columns of the transformed examples.
        train: the train split.
        held_out: the eval split.
        test: the columns of the test split, in batches.
        judged: the labels, weights and groups of the test split.
        seen: the item's column, `PAIR` or a cross -> the number of training rows that have the test row's value,
            [rows]; for a row with several values, the number of the most frequent one.
        lists: the lists to rank; None without a ranking.
    """

    columns: tuple[InputColumn, ...]
    train: inputs.Examples
    held_out: inputs.Examples
    test: Sequence[Columns]
    judged: JudgedRows
    seen: Mapping[str, Ints]
    lists: RankedLists | None


def load(dataset: Dataset, folders: Mapping[str, str], memory_mb: int) -> ComparedData:
    """Reads the outputs of `pipeline.run.local.prepare`.

    Args:
        dataset: the dataset, with a resolved spec.
        folders: the folders of `examples`, `transformed_examples` and `transform_graph`.
        memory_mb: the limit of memory, as in `TrainParams.memory_mb`.
    """
    spec = dataset.spec
    transform_output = tft.TFTransformOutput(folders["transform_graph"])
    columns = input_columns(spec, ids_of(spec, transform_output))
    train, held_out = (
        inputs.read([_files(folders["transformed_examples"], split)], columns, spec.weight is not None, memory_mb << 20)
        for split in ("train", "eval")
    )
    to_columns = RawToColumns(spec, transform_output, columns)
    rows = _RawRows(spec, to_columns, transform_output)
    occurrences = rows.count(_files(folders["examples"], "train"))
    test: list[Columns] = []
    labels, weights, groups = [], [], []
    seen: dict[str, list[Ints]] = {name: [] for name in rows.counted}
    for batch in rows.read(_files(folders["examples"], "test")):
        test.append(to_columns(batch.raw))
        labels.append(batch.labels)
        weights.append(batch.weights)
        groups.append(batch.groups)
        for name, values in rows.values(batch.raw).items():
            seen[name].append(_times_seen(values, occurrences[name]))
    _, codes = np.unique(np.concatenate(groups), return_inverse=True)
    return ComparedData(
        columns=columns,
        train=train,
        held_out=held_out,
        test=test,
        judged=JudgedRows(np.concatenate(labels), np.concatenate(weights), codes if spec.ranking else None),
        seen={name: np.concatenate(counts) for name, counts in seen.items()},
        lists=_lists(dataset, to_columns, occurrences) if spec.ranking else None,
    )


def _files(folder: str, split: str) -> str:
    return os.path.join(folder, f"Split-{split}", "*")


@dataclass(frozen=True)
class _Batch:
    raw: RawTensors
    labels: Floats
    weights: Floats
    groups: npt.NDArray[np.object_]


class _RawRows:
    """Raw examples, and the values in them that are counted: items, and crosses before the vocabularies drop rare
    values.
    """

    def __init__(self, spec: FeatureSpec, to_columns: RawToColumns, transform_output: tft.TFTransformOutput) -> None:
        self._spec = spec
        self._to_columns = to_columns
        self._transform = transform_sources.layer(transform_output)
        roles = (spec.ranking.group, spec.ranking.item) if spec.ranking else ()
        self._pair = roles if all(isinstance(spec.features.get(role), Categorical) for role in roles) else ()
        pair = [*self._pair[1:], PAIR] if self._pair else []
        self.counted = list(dict.fromkeys([*pair, *(cross.name for cross in spec.crosses)]))

    def read(self, pattern: str) -> Iterator[_Batch]:
        """The rows of a split, in order."""
        extra = {
            LABEL: tf.io.FixedLenFeature([], tf.float32),
            WEIGHT: tf.io.FixedLenFeature([], tf.float32, 1.0),
        }
        group = self._spec.ranking.group if self._spec.ranking else None
        if group:
            dtype = {"string": tf.string, "integer": tf.int64, "float": tf.float32}[self._spec.columns[group]]
            extra[group] = tf.io.FixedLenFeature([], dtype, "" if dtype == tf.string else 0)
        files = sorted(tf.io.gfile.glob(pattern))
        for serialized in tf.data.TFRecordDataset(files, compression_type="GZIP").batch(_BATCH):
            parsed = tf.io.parse_example(serialized, extra)
            yield _Batch(
                raw=self._to_columns.parsed(serialized),
                labels=parsed[LABEL].numpy().astype(np.float64),
                weights=parsed[WEIGHT].numpy().astype(np.float64),
                groups=parsed[group].numpy() if group else np.zeros(len(parsed[LABEL]), object),
            )

    def values(self, raw: RawTensors) -> dict[str, list[list[bytes]]]:
        """Counted name -> the values of each row."""
        transformed = self._transform(raw)
        buckets = {
            name: transformed[f"{name}_bucket"]
            for name, feature in self._spec.features.items()
            if isinstance(feature, Numeric) and feature.buckets
        }
        found = preprocessing.tokens(self._spec, raw, buckets)
        if self._pair:
            # A cross may have the same name.
            found.setdefault(PAIR, tf.strings.join([found[role] for role in self._pair], separator=SEPARATOR))
        return {name: _as_lists(found[name]) for name in self.counted}

    def count(self, pattern: str) -> dict[str, Counter[bytes]]:
        """The number of rows of a split with each value, by counted name."""
        occurrences: dict[str, Counter[bytes]] = {name: Counter() for name in self.counted}
        for batch in self.read(pattern):
            for name, rows in self.values(batch.raw).items():
                occurrences[name].update(value for row in rows for value in set(row))
        return occurrences


def _as_lists(values: tf.Tensor | tf.SparseTensor) -> list[list[bytes]]:
    if isinstance(values, tf.SparseTensor):
        lists: list[list[bytes]] = tf.RaggedTensor.from_sparse(values).to_list()
        return lists
    return [[value] for value in values.numpy().tolist()]


def _times_seen(rows: Sequence[Sequence[bytes]], occurrences: Counter[bytes]) -> Ints:
    return np.array([max((occurrences[value] for value in row), default=0) for row in rows], np.int64)


def _lists(dataset: Dataset, to_columns: RawToColumns, occurrences: Mapping[str, Counter[bytes]]) -> RankedLists:
    assert dataset.spec.ranking is not None, "asked for rankings only"
    found = catalogue(dataset)
    raw = {
        name: Column(name, _TYPES[kind.removesuffix("s")], multivalent=kind.endswith("s"))
        for name, kind in dataset.spec.input_columns.items()
    }
    items = {name: raw[name].rows(found.items[name].to_pylist()) for name in raw if name in found.items.column_names}
    candidates = tf.function(to_columns.candidates, reduce_retracing=True, autograph=False)
    lists = []
    for group in _some_groups(found):
        context = {name: raw[name].row(value) for name, value in found.context(group).items()}
        inputs = {name: tf.constant(value) for name, value in {**items, **context}.items()}
        lists.append(Candidates(*candidates(inputs)))
    item = dataset.spec.ranking.item
    counts = occurrences.get(item, Counter())
    return RankedLists(lists, np.array([counts[str(value).encode()] for value in found.items[item].to_pylist()]))


def _some_groups(found: Catalogue) -> list[str]:
    """Groups spread evenly over the time in which they were last seen."""
    groups = found.groups.to_pylist()
    count = max(1, min(_LISTS, _RANKED_ROWS // len(found.items), len(groups)))
    return [groups[place] for place in np.linspace(0, len(groups) - 1, count).astype(int)]
