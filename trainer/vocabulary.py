"""All vocabularies of a dataset, counted in one pass and looked up in one table.

`tft.compute_and_apply_vocabulary` adds about a hundred Beam steps per feature, which is most of Transform's cost on
small data, and a lookup table per feature, which is much of a served request's cost. Here one analyzer counts the
tokens of all features and crosses together, each with the name of its vocabulary as prefix, and keeps them in one
asset file::

    user_id             <- a line that opens the section of a vocabulary
    user_id␟405         <- its tokens, most frequent first (␟ is the ASCII unit separator)
    user_id␟655
    genres
    genres␟Drama
    ␟                   <- the end

A token's id is the number of lines between its line and the opening line of its section.
"""

from __future__ import annotations

import collections
import os
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_transform.beam.experimental import PTransformAnalyzer

from schema.feature_spec import Vocabulary

SEPARATOR = "\x1f"
"""The separator between a vocabulary's name and a token, and between the parts of a crossed token."""

ASSET = "vocabularies"
"""The key and file name of the asset in the transform graph."""

_MOST_TOKENS_HELD = 1_000_000
_HASHES = 2**31 - 1

_END = SEPARATOR
"""The last line, which ends the last section. It differs from all tokens, since no token is empty."""


class Tokens(NamedTuple):
    """One feature's (or cross's) use of a vocabulary."""

    vocabulary: str
    values: tf.Tensor
    """The tokens, string [any]."""
    oov_buckets: int
    missing: bool = False
    """Whether an empty token is a missing value, with an id after all others."""


def compute_and_apply(columns: Mapping[str, Tokens], limits: Mapping[str, Vocabulary]) -> dict[str, tf.Tensor]:
    """Counts the tokens of all columns and maps them to ids. Call this once in a `preprocessing_fn`.

    Args:
        columns: the columns' tokens, by column name. Columns of one vocabulary are counted together. Empty tokens and
            tokens with a line break are not counted.
        limits: the limits on the tokens to keep, by vocabulary name.

    Returns:
        The ids by column name, int64 of the tokens' shape. Ids below the vocabulary's size are tokens; the following
        ones are the OOV buckets, by hash, for all other tokens; the next one is for missing values.
    """
    # All columns as one vector: the cost of tracing and serving grows with the number of operations, not of tokens.
    values = tf.concat([use.values for use in columns.values()], axis=0)
    lengths = tf.stack([tf.size(use.values) for use in columns.values()])
    # As tf.repeat(tf.range(len(columns)), lengths), in fewer operations.
    column = tf.searchsorted(tf.cumsum(lengths), tf.range(tf.size(values)), side="right")

    def spread(by_column: tf.Tensor | list[Any]) -> tf.Tensor:
        return tf.gather(by_column, column)

    named = tf.strings.join([spread([use.vocabulary + SEPARATOR for use in columns.values()]), values])
    sections = list(limits)
    (path,) = tft.experimental.ptransform_analyzer(
        inputs=[tf.boolean_mask(named, values != "")],
        ptransform=_Count(limits),
        output_dtypes=[tf.string],
        output_shapes=[[]],
        output_asset_default_values=["\n".join([*sections, _END, ""])],
        name="vocabularies",
    )
    tft.annotate_asset(ASSET, ASSET)
    headers = [*sections, _END]
    lines = tft.apply_vocabulary(tf.concat([headers, named], axis=0), path, default_value=-1)
    header_lines, found = lines[: len(headers)], lines[len(headers) :]

    section = [sections.index(use.vocabulary) for use in columns.values()]
    first = tf.gather(header_lines, section) + 1
    size = tf.gather(header_lines[1:] - header_lines[:-1] - 1, section)
    oov_buckets = tf.constant([use.oov_buckets for use in columns.values()], tf.int64)
    oov = spread(size)
    if any(use.oov_buckets > 1 for use in columns.values()):
        oov += tf.strings.to_hash_bucket_fast(values, _HASHES) % spread(oov_buckets)
    ids = tf.where(found >= 0, found - spread(first), oov)
    missing = (values == "") & spread([use.missing for use in columns.values()])
    ids = tf.where(missing, spread(size + oov_buckets), ids)
    return dict(zip(columns, tf.split(ids, lengths, num=len(columns)), strict=True))


def read(path: str) -> dict[str, list[str]]:
    """The tokens of each vocabulary in the order of their ids, from the asset file at `path`."""
    vocabularies: dict[str, list[str]] = {}
    with tf.io.gfile.GFile(path) as file:
        for line in file:
            name, _, token = line.rstrip("\n").partition(SEPARATOR)
            if token:
                vocabularies[name].append(token)
            elif name:
                vocabularies[name] = []
    return vocabularies


class _Count(PTransformAnalyzer):  # type: ignore[misc]
    """Counts batches of named tokens, and returns the path of the file described above."""

    def __init__(self, limits: Mapping[str, Vocabulary]) -> None:
        super().__init__()
        self._limits = limits

    def expand(self, batches: beam.PCollection[tuple[np.ndarray]]) -> tuple[beam.PCollection[np.ndarray]]:
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
    """Counts tokens in a dictionary, so that Beam sees each token once per bundle, not once per row."""

    def start_bundle(self) -> None:
        self._counts: collections.Counter[bytes] = collections.Counter()

    def process(self, batch: tuple[np.ndarray]) -> Iterable[tuple[bytes, int]]:
        self._counts.update(batch[0].tolist())
        if len(self._counts) > _MOST_TOKENS_HELD:
            yield from self._counts.items()
            self._counts.clear()

    def finish_bundle(self) -> Iterable[Any]:
        for counted in self._counts.items():
            yield beam.transforms.window.GlobalWindows.windowed_value(counted)


def _name_of(named: bytes) -> str:
    return named.split(SEPARATOR.encode(), 1)[0].decode()


def _write(counted: list[tuple[bytes, int]], limits: Mapping[str, Vocabulary], directory: str) -> np.ndarray:
    sections: dict[str, list[tuple[bytes, int]]] = {name: [] for name in limits}
    for token, count in counted:
        if b"\n" not in token and b"\r" not in token:
            sections[_name_of(token)].append((token, count))
    # Each write has a folder of its own, so that a retried bundle cannot find a half-written file.
    path = os.path.join(directory, uuid.uuid4().hex, ASSET)
    tf.io.gfile.makedirs(os.path.dirname(path))
    with tf.io.gfile.GFile(path, "wb") as file:
        for name, tokens in sections.items():
            tokens.sort(key=lambda entry: (-entry[1], entry[0]))
            file.write(b"\n".join([name.encode(), *(token for token, _ in tokens[: limits[name].top_k]), b""]))
        file.write(f"{_END}\n".encode())
    return np.array(path.encode())
