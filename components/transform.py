"""TFX's Transform, reading and writing files a batch at a time.

Handling single examples costs as much as computing the features, and Beam's TFRecord sink compresses at a level that
costs even more. The outputs are the same as TFX's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import apache_beam as beam
import pyarrow as pa
import tensorflow as tf
from apache_beam.coders import BytesCoder
from apache_beam.io.filebasedsink import FileBasedSink
from apache_beam.io.filesystem import CompressionTypes
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx import types
from tfx.components.transform import component, executor
from tfx.dsl.components.base import executor_spec
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from components.example_batches import ROWS_PER_BATCH, read_in_batches
from components.example_gen import GZIP, ROWS_PER_SHARD
from trainer import transform_sources
from trainer.patches import replaced


class Executor(executor.Executor):  # type: ignore[misc]
    def Do(  # noqa: N802 (TFX's name)
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Transforms as TFX does, but replaces its reader and writer, for which TFX has no option."""
        with (
            read_in_batches(),
            transform_sources.found_together(),
            replaced(executor, "TransformProcessor", _Processor, "tfx"),
        ):
            super().Do(input_dict, output_dict, exec_properties)


class Transform(component.Transform):  # type: ignore[misc]
    """Computes the features of `trainer.preprocessing` for all rows; see TFX for the arguments."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)


class _Processor(executor.TransformProcessor):  # type: ignore[misc]
    @staticmethod
    def _EncodeAndWrite(  # noqa: N802 (TFX's name)
        schema: schema_pb2.Schema, file_format: str, output_path: str
    ) -> beam.PTransform:
        del file_format  # TFRecord, the only one that TFX asks for
        return _Write(schema, output_path)


class _Write(beam.PTransform):  # type: ignore[misc]
    def __init__(self, schema: schema_pb2.Schema, prefix: str) -> None:
        super().__init__()
        self._encode = _Encode(schema)
        self._sink = _Sink(prefix)

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        return batches | "Encode" >> beam.ParDo(self._encode) | "Write" >> beam.io.Write(self._sink)


@beam.typehints.with_input_types(tuple[pa.RecordBatch, dict[str, pa.Array]])
@beam.typehints.with_output_types(list[bytes])
class _Encode(beam.DoFn):  # type: ignore[misc]
    """Encodes a record batch as serialized examples; the element's second part, TFT's passthrough data, is ignored."""

    def __init__(self, schema: schema_pb2.Schema) -> None:
        self._schema = schema

    def setup(self) -> None:
        self._encoder = RecordBatchToExamplesEncoder(self._schema)

    def process(self, element: tuple[pa.RecordBatch, Mapping[str, pa.Array]]) -> Iterator[list[bytes]]:
        batch, _ = element
        yield self._encoder.encode(batch)


class _Sink(FileBasedSink):  # type: ignore[misc]
    """Writes lists of examples to gzipped TFRecord files, which get their final names once all are written.

    Beam numbers the files in the order of their temporary names, which are random. The counter in front of these names
    keeps one worker's files in the order of the rows.
    """

    def __init__(self, prefix: str) -> None:
        super().__init__(
            prefix,
            BytesCoder(),
            file_name_suffix=".gz",
            compression_type=CompressionTypes.UNCOMPRESSED,  # `open` compresses
            max_records_per_shard=ROWS_PER_SHARD // ROWS_PER_BATCH,
        )

        self._opened = 0

    def open_writer(self, init_result: str, uid: str) -> Any:
        self._opened += 1
        return super().open_writer(init_result, f"{self._opened:06d}-{uid}")

    def open(self, temp_path: str) -> tf.io.TFRecordWriter:
        return tf.io.TFRecordWriter(temp_path, GZIP)

    def write_record(self, file_handle: tf.io.TFRecordWriter, value: list[bytes]) -> None:
        for example in value:
            file_handle.write(example)
