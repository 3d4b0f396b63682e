"""Reads a dataset's files into tf.Examples, checked and split.

TFX's CsvExampleGen infers types file by file, drops what it cannot read, and splits by hash only. This component
reads CSV, Parquet and TFRecord through `schema.reader` in Arrow batches, which names file and row of anything wrong,
and encodes a batch at a time.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
from pydantic import TypeAdapter
from tfx.components.util import examples_utils
from tfx.dsl.component.experimental.annotations import BeamComponentParameter, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_artifacts
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from components.properties import SPAN_NAME_PROPERTY, SPLITS_PROPERTY, WARNINGS_PROPERTY
from schema import reader, split_record, splits
from schema.checks import Checks, SplitSummary
from schema.dataset import Dataset
from schema.feature_spec import LABEL, SPLITS, FeatureSpec, Split
from schema.file_digests import file_digests
from schema.identity import called
from schema.latest import CONTEXTS_FILE, ITEMS_FILE, LatestRows, latest_contexts, latest_items
from schema.lists import as_lists
from schema.split_record import Signature, Signatures


class FilePart(NamedTuple):
    """A part of a file, such as a row group of Parquet: parts are read in parallel.

    Attributes:
        path: of the file.
        called: what it is called in the identities of its rows.
        number: of the part.
        given: the split that all of it is in, where the files are given by split.
    """

    path: Path
    called: str
    number: int
    given: Split | None


class _Found(NamedTuple):
    """What is known of the rows of some parts."""

    checks: Checks
    signatures: Signatures
    latest: Mapping[str, LatestRows]
    """The latest rows of items and contexts, by the file that receives them; empty for a dataset without a ranking."""


_SUMMARY_FILE, _REMARKS_FILE, _SIGNATURES_FILE = "summary.json", "remarks.json", "signatures.json"
ROWS_PER_SHARD = 250_000
"""How many rows there are in a file, at most, of those that are read in parallel."""
GZIP = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=1)
"""For what only the next component reads: the default level makes files of 7 tenths the size in thrice the time."""


@component(use_beam=True)  # type: ignore[untyped-decorator]
def ExampleGen(  # noqa: N802 (a TFX component)
    examples: OutputArtifact[standard_artifacts.Examples],
    spec: Parameter[str],
    files: Parameter[str],
    code: Parameter[str],
    span: Parameter[int] = 0,
    span_name: Parameter[str] = "",
    contexts: Parameter[int] = 0,
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Writes the splits train, eval and test as gzipped TFRecords of tf.Examples.

    Args:
        examples: receives the splits, and a summary of them.
        spec: the resolved feature spec as JSON.
        files: what to read, see `fingerprinted`; the parts of each (row groups of Parquet files) are read in parallel.
        code: version of the code that does it, so that its change leads to new examples.
        span: of data that comes in spans, the last of those read.
        span_name: how people write it; empty for other data.
        contexts: the largest number of groups of a ranking whose latest contexts are written.
        beam_pipeline: given by TFX.

    Raises:
        DataError: naming the file, and the row where it is one, of whatever the spec does not allow.
    """
    del code  # part of the cache key only
    feature_spec = FeatureSpec.model_validate_json(spec)
    parts = parts_of(files, feature_spec)
    boundaries = splits.time_boundaries(dict.fromkeys(part.path for part in parts), feature_spec)
    examples.span = span
    examples.set_string_custom_property(SPAN_NAME_PROPERTY, span_name)
    examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
    examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
    folders = {split: artifact_utils.get_split_uri([examples], split) for split in SPLITS}
    for folder in folders.values():
        fileio.makedirs(folder)
    with beam_pipeline as pipeline:
        _ = (
            pipeline
            | "Parts" >> beam.Create(list(enumerate(parts)))
            | "Spread" >> beam.Reshuffle()
            | "Convert" >> beam.ParDo(_Convert(feature_spec, boundaries, folders, contexts))
            | "Merge" >> beam.CombineGlobally(_merged).without_defaults()
            | "Verify" >> beam.Map(_verify, examples.uri)
        )
    examples.set_string_custom_property(WARNINGS_PROPERTY, json.dumps(_read_json(examples.uri, _REMARKS_FILE)))
    signatures = TypeAdapter(dict[str, Signature]).validate_python(_read_json(examples.uri, _SIGNATURES_FILE))
    of_test = {part.called: part.path for part in parts if part.given == "test"}
    record = split_record.record(feature_spec, signatures, of_test, bool(span_name), boundaries)
    examples.set_string_custom_property(SPLITS_PROPERTY, record.model_dump_json())


def fingerprinted(dataset: Dataset) -> str:
    """The dataset's files as JSON, with a digest of their paths and contents, so that changed files are read again."""
    files = {split: [str(path) for path in paths] for split, paths in dataset.files.items()}
    contents = file_digests(path for paths in dataset.files.values() for path in paths)
    lines = "".join(f"{path}\0{content}\n" for path, content in contents.items())
    return json.dumps({"files": files, "base": str(dataset.base), "digest": hashlib.sha256(lines.encode()).hexdigest()})


def parts_of(files: str, spec: FeatureSpec) -> list[FilePart]:
    """What can be read in parallel of files that `fingerprinted` has listed."""
    listed = json.loads(files)
    return [
        FilePart(Path(path), called(Path(path), Path(listed["base"])), index, None if key == "all" else key)
        for key, paths in listed["files"].items()
        for path in paths
        for index in range(reader.parts(Path(path), spec))
    ]


def read_summary(uri: str) -> dict[str, SplitSummary]:
    """Split name -> its size, from the URI of an examples artifact."""
    summary: dict[str, SplitSummary] = _read_json(uri, _SUMMARY_FILE)
    return summary


def _read_json(uri: str, name: str) -> Any:
    with fileio.open(os.path.join(uri, name)) as file:
        return json.loads(file.read())


class _Convert(beam.DoFn):  # type: ignore[misc]
    """A part of a file -> its examples in the splits' folders; yields the part's checks, and its rows' signatures.

    Examples are written from here, not handed to a Beam sink, which costs as much per row as everything else
    together. A part that Beam tries again writes the same files again.
    """

    def __init__(
        self, spec: FeatureSpec, boundaries: splits.Boundaries | None, folders: Mapping[Split, str], contexts: int
    ) -> None:
        self._spec = spec
        self._boundaries = boundaries
        self._folders = folders
        self._contexts = contexts

    def process(self, element: tuple[int, FilePart]) -> Iterator[_Found]:
        index, part = element
        checks, unknown, signatures = Checks(self._spec), set[str](), Signatures()
        latest: dict[str, LatestRows] = {}
        if self._spec.ranking:
            latest[ITEMS_FILE] = latest_items(self._spec, index)
            latest[CONTEXTS_FILE] = latest_contexts(self._spec, index, self._contexts)
        row = reader.first_row(part.path, self._spec, part.number)
        encoder = RecordBatchToExamplesEncoder()
        with contextlib.ExitStack() as stack:
            shards = {split: stack.enter_context(_Shards(folder, index)) for split, folder in self._folders.items()}
            batches = reader.read(part.path, self._spec, part=part.number, called=part.called, unknown=unknown)
            for batch in batches:
                signatures.add(part.called, row, batch[LABEL])
                row += len(batch)
                for rows_of in latest.values():
                    rows_of.add(batch)
                for split, rows in splits.split(batch, self._spec, part.given, self._boundaries).items():
                    checks.add(split, rows, part.path)
                    shards[split].write(encoder.encode(as_lists(rows)))
        checks.add_unknown(unknown, part.path)
        yield _Found(checks, signatures, latest)


class _Shards:
    """Writes the examples of one part into files of a size that workers can share out.

    Args:
        folder: of the split.
        part: number of the part, which names the files.
    """

    def __init__(self, folder: str, part: int) -> None:
        self._prefix = os.path.join(folder, f"data_tfrecord-{part:05d}")
        self._shards = 0
        self._rows = 0
        self._open = contextlib.ExitStack()

    def write(self, examples: Sequence[bytes]) -> None:
        for example in examples:
            if self._rows % ROWS_PER_SHARD == 0:
                self._next_shard()
            self._writer.write(example)
            self._rows += 1

    def _next_shard(self) -> None:
        self._open.close()
        self._writer = self._open.enter_context(tf.io.TFRecordWriter(f"{self._prefix}-{self._shards:05d}.gz", GZIP))
        self._shards += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()


def _merged(parts: Iterable[_Found]) -> _Found:
    first, *others = parts
    for other in others:
        first.checks.merge(other.checks)
        first.signatures.merge(other.signatures)
        for name, latest in first.latest.items():
            latest.merge(other.latest[name])
    return first


def _verify(found: _Found, folder: str) -> None:
    checks = found.checks
    checks.verify()
    of_files = {file: signature.model_dump() for file, signature in found.signatures.result().items()}
    for name, content in (
        (_SUMMARY_FILE, checks.summary()),
        (_REMARKS_FILE, checks.remarks()),
        (_SIGNATURES_FILE, of_files),
    ):
        with fileio.open(os.path.join(folder, name), "w") as file:
            file.write(json.dumps(content, indent=2) + "\n")
    for name, latest in found.latest.items():
        if (table := latest.table()) is not None:
            content = pa.BufferOutputStream()
            pq.write_table(table, content)
            with fileio.open(os.path.join(folder, name), "wb") as file:
                file.write(content.getvalue().to_pybytes())
