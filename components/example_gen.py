"""Reads a dataset's files into tf.Examples, checked and split.

TFX's CsvExampleGen infers types file by file, drops what it cannot read, and splits by hash only. This component
reads CSV, Parquet and TFRecord through `schema.reader` in Arrow batches, which names file and row of anything wrong,
and encodes a batch at a time.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
from schema.checks import Checks
from tfx.components.example_gen.write_split import WriteSplit
from tfx.components.util import examples_utils
from tfx.dsl.component.experimental.annotations import BeamComponentParameter, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_artifacts
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from schema import reader, splits
from schema.dataset import Dataset
from schema.feature_spec import SPLITS, FeatureSpec, Split

_SUMMARY_FILE = "summary.json"
_CHECKS = "checks"


@component(use_beam=True)
def ExampleGen(  # noqa: N802 (a TFX component)
    examples: OutputArtifact[standard_artifacts.Examples],
    spec: Parameter[str],
    files: Parameter[str],
    code: Parameter[str],
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Writes the splits train, eval and test as gzipped TFRecords of tf.Examples.

    Args:
        examples: receives the splits, and a summary of them.
        spec: the resolved feature spec as JSON.
        files: what to read, see `fingerprinted`.
        code: version of the code that does it, so that its change leads to new examples.
        beam_pipeline: given by TFX.

    Raises:
        DataError: naming the file, and the row where it is one, of whatever the spec does not allow.
    """
    del code  # part of the cache key only
    feature_spec = FeatureSpec.model_validate_json(spec)
    by_split = {key: [Path(path) for path in paths] for key, paths in json.loads(files)["files"].items()}
    every_file = [path for paths in by_split.values() for path in paths]
    boundaries = splits.time_boundaries(every_file, feature_spec)
    parts = [
        (path, part, None if key == "all" else key)
        for key, paths in by_split.items()
        for path in paths
        for part in range(reader.parts(path, feature_spec))
    ]
    examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
    examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
    fileio.makedirs(examples.uri)
    with beam_pipeline as pipeline:
        outputs = (
            pipeline
            | "Parts" >> beam.Create(parts)
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(_Read(feature_spec, boundaries)).with_outputs(_CHECKS, *SPLITS)
        )
        _ = (
            outputs[_CHECKS]
            | "Merge" >> beam.CombineGlobally(_merged)
            | "Verify" >> beam.Map(_verify, os.path.join(examples.uri, _SUMMARY_FILE))
        )
        for split in SPLITS:
            uri = artifact_utils.get_split_uri([examples], split)
            _ = outputs[split] | f"Write[{split}]" >> WriteSplit(uri, example_gen_pb2.FORMAT_TFRECORDS_GZIP, {})


def fingerprinted(dataset: Dataset) -> str:
    """The dataset's files as JSON, with a digest of their sizes and times, so that changed files are read again."""
    digest = hashlib.sha256()
    for path in (path for paths in dataset.files.values() for path in paths):
        stat = path.stat()
        digest.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
    files = {split: [str(path) for path in paths] for split, paths in dataset.files.items()}
    return json.dumps({"files": files, "digest": digest.hexdigest()})


def read_summary(uri: str) -> dict[str, dict[str, int]]:
    """Split name -> its number of `rows` and of `positives`, from the URI of an examples artifact."""
    with fileio.open(os.path.join(uri, _SUMMARY_FILE)) as file:
        summary: dict[str, dict[str, int]] = json.loads(file.read())
    return summary


class _Read(beam.DoFn):  # type: ignore[misc]
    """A part of a file -> serialized examples by split, and the part's checks."""

    def __init__(self, spec: FeatureSpec, boundaries: splits.Boundaries | None) -> None:
        self._spec = spec
        self._boundaries = boundaries

    def process(self, element: tuple[Path, int, Split | None]) -> Iterator[beam.pvalue.TaggedOutput]:
        path, part, given = element
        checks = Checks(self._spec)
        encoder = RecordBatchToExamplesEncoder()
        for batch in reader.read(path, self._spec, part=part):
            for split, rows in splits.split(batch, self._spec, given, self._boundaries).items():
                checks.add(split, rows, path)
                for example in encoder.encode(_as_lists(rows)):
                    yield beam.pvalue.TaggedOutput(split, example)
        yield beam.pvalue.TaggedOutput(_CHECKS, checks)


def _as_lists(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch as the encoder wants it: every value in a list, texts as bytes, nothing where it is missing."""
    return pa.RecordBatch.from_arrays([_as_list(column) for column in batch.columns], names=batch.schema.names)


def _as_list(column: pa.Array) -> pa.Array:
    if not pa.types.is_list(column.type):
        offsets = np.append(0, np.cumsum(np.asarray(column.is_valid())))
        values = column.drop_null()
        column = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values, mask=column.is_null())
    element = column.type.value_type
    return column.cast(pa.large_list(pa.large_binary() if pa.types.is_string(element) else element))


def _merged(parts: Iterable[Checks]) -> Checks | None:
    merged: Checks | None = None
    for part in parts:
        merged = part if merged is None else merged.merge(part)
    return merged


def _verify(checks: Checks, summary_path: str) -> None:
    checks.verify()
    with fileio.open(summary_path, "w") as file:
        file.write(json.dumps(checks.summary(), indent=2) + "\n")
