"""All vocabularies of a dataset, counted in one pass and looked up in one table.

`tft.compute_and_apply_vocabulary` adds about a hundred Beam steps per feature, which is most of what Transform
costs on small data, and a lookup table per feature, which is much of what a served request costs. Here the tokens
of all features and crosses, each behind the name of its vocabulary, are counted together by one analyzer and kept
in one asset file::

    user_id             <- a line that opens the section of a vocabulary
    user_id␟405         <- its tokens, most frequent first (␟ is the ASCII unit separator)
    user_id␟655
    genres
    genres␟Drama

A token's id is its line's distance from the opening line of its section, less one.
"""

from __future__ import annotations

import collections
import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_transform.beam.experimental import PTransformAnalyzer

from schema.feature_spec import Vocabulary

SEPARATOR = "\x1f"
"""Stands between a vocabulary's name and a token, and between the parts of a crossed token."""

ASSET = "vocabularies"
"""Key and file name of the asset in the transform graph."""

_MOST_TOKENS_HELD = 1_000_000


class Vocabularies:
    """The lookup table of a dataset's vocabularies, for use inside a `preprocessing_fn`.

    Args:
        tokens: vocabulary name -> the tokens (string, any shape) to count for it, one tensor per feature that uses
            it. Empty tokens and tokens with a line break are not counted.
        limits: vocabulary name -> which of its tokens to keep.
    """

    def __init__(self, tokens: Mapping[str, Sequence[tf.Tensor]], limits: Mapping[str, Vocabulary]) -> None:
        self._names = list(tokens)
        counted = [_named(name, tf.boolean_mask(flat, flat != "")) for name in tokens for flat in map(_flat, tokens[name])]
        headers = "\n".join([*self._names, ""]).encode()
        (path,) = tft.experimental.ptransform_analyzer(
            inputs=[tf.concat(counted, axis=0)],
            ptransform=_Count({name: limits[name] for name in self._names}),
            output_dtypes=[tf.string],
            output_shapes=[[]],
            output_asset_default_values=[headers],
            name="vocabularies",
        )
        tft.annotate_asset(ASSET, ASSET)
        with tf.init_scope():
            initializer = tf.lookup.TextFileInitializer(
                path, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
            )
            self._table = tf.lookup.StaticHashTable(initializer, default_value=-1)
        starts = self._table.lookup(tf.constant(self._names))
        ends = tf.concat([starts[1:], [self._table.size()]], axis=0)
        self._start = dict(zip(self._names, tf.unstack(starts), strict=True))
        self._size = dict(zip(self._names, tf.unstack(ends - starts - 1), strict=True))

    def size(self, name: str) -> tf.Tensor:
        """The number of tokens of a vocabulary (int64, scalar)."""
        return self._size[name]

    def lookup(self, tokens: Sequence[tuple[str, tf.Tensor, int]]) -> list[tf.Tensor]:
        """The ids of many features' tokens, by one lookup.

        Args:
            tokens: for each feature the vocabulary's name, the tokens (string, any shape), and its OOV buckets.

        Returns:
            For each feature int64 ids of the tokens' shape: below the vocabulary's size for tokens in it, and
            above it, by hash, one of the OOV buckets for the others.
        """
        flat = [_flat(values) for _, values, _ in tokens]
        named = [_named(name, values) for (name, _, _), values in zip(tokens, flat, strict=True)]
        lines = tf.split(self._table.lookup(tf.concat(named, axis=0)), [tf.size(values) for values in flat])
        ids = []
        for (name, values, oov_buckets), line, flat_values in zip(tokens, lines, flat, strict=True):
            oov = self._size[name] + tf.strings.to_hash_bucket_fast(flat_values, oov_buckets)
            known = tf.where(line >= 0, line - self._start[name] - 1, oov)
            ids.append(tf.reshape(known, tf.shape(values)))
        return ids


def read(path: str) -> dict[str, list[str]]:
    """The tokens of each vocabulary in the order of their ids, from the asset file at `path`."""
    vocabularies: dict[str, list[str]] = {}
    with tf.io.gfile.GFile(path) as file:
        for line in file:
            name, separator, token = line.rstrip("\n").partition(SEPARATOR)
            if separator:
                vocabularies[name].append(token)
            else:
                vocabularies[name] = []
    return vocabularies


def _flat(tokens: tf.Tensor) -> tf.Tensor:
    return tf.reshape(tokens, [-1])


def _named(name: str, tokens: tf.Tensor) -> tf.Tensor:
    return tf.strings.join([name + SEPARATOR, tokens])


class _Count(PTransformAnalyzer):  # type: ignore[misc]
    """Batches of named tokens -> the path of the file described above."""

    def __init__(self, limits: Mapping[str, Vocabulary]) -> None:
        super().__init__()
        self._limits = limits

    def expand(self, batches: beam.PCollection[tuple[np.ndarray]]) -> tuple[beam.PCollection[np.ndarray]]:
        # Beam deep-copies this transform's bound methods into the workers; the closure keeps what it needs only.
        limits, directory = self._limits, self.base_temp_dir
        return (
            batches
            | "CountInBundle" >> beam.ParDo(_CountInBundle())
            | "Sum" >> beam.CombinePerKey(sum)
            | "Frequent" >> beam.Filter(lambda counted: counted[1] >= limits[_name_of(counted[0])].min_count)
            | "Gather" >> beam.combiners.ToList()
            | "Write" >> beam.Map(_write, limits, directory),
        )


class _CountInBundle(beam.DoFn):  # type: ignore[misc]
    """Counts in a dictionary, so that Beam sees each token once per bundle and not once per row."""

    def start_bundle(self) -> None:
        self._counts: collections.Counter[bytes] = collections.Counter()

    def process(self, batch: tuple[np.ndarray]) -> Iterable[tuple[bytes, int]]:
        self._counts.update(batch[0].tolist())
        if len(self._counts) > _MOST_TOKENS_HELD:
            yield from self._counts.items()
            self._counts.clear()

    def finish_bundle(self) -> Iterable[Any]:
        for counted in self._counts.items():
            yield beam.utils.windowed_value.WindowedValue(counted, 0, [beam.transforms.window.GlobalWindow()])


def _name_of(named: bytes) -> str:
    return named.split(SEPARATOR.encode(), 1)[0].decode()


def _write(counted: list[tuple[bytes, int]], limits: Mapping[str, Vocabulary], directory: str) -> np.ndarray:
    sections: dict[str, list[tuple[bytes, int]]] = {name: [] for name in limits}
    for token, count in counted:
        if b"\n" not in token and b"\r" not in token:
            sections[_name_of(token)].append((token, count))
    # The folder is the writer's own, so that a retried bundle cannot meet another's half-written file.
    path = os.path.join(directory, uuid.uuid4().hex, ASSET)
    tf.io.gfile.makedirs(os.path.dirname(path))
    with tf.io.gfile.GFile(path, "wb") as file:
        for name, tokens in sections.items():
            tokens.sort(key=lambda entry: (-entry[1], entry[0]))
            file.write(b"\n".join([name.encode(), *(token for token, _ in tokens[: limits[name].top_k]), b""]))
    return np.array(path.encode())
