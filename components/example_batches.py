"""Reads files of tf.Examples a batch at a time, for the TFX components that go through all rows.

TFX passes single examples to Beam, which costs as much as the computations on them. It also lets the engine decide
whether several workers read the files: with Flink, one worker reads them all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import apache_beam as beam
import pyarrow as pa
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.components.util import tfxio_utils
from tfx.dsl.io import fileio
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder
from tfx_bsl.tfxio.record_based_tfxio import AppendRawRecordColumn
from tfx_bsl.tfxio.tf_example_record import TFExampleRecord

from trainer.patches import replaced

ROWS_PER_BATCH = 4096


@contextlib.contextmanager
def read_in_batches() -> Iterator[None]:
    """Makes TFX's executors read with `Examples` inside the block; they have no option for it."""
    with replaced(tfxio_utils.tf_example_record, TFExampleRecord.__name__, Examples, "tfx"):
        yield


class Examples(TFExampleRecord):  # type: ignore[misc]
    """Reads gzipped TFRecord files of tf.Examples as record batches; see `TFExampleRecord` for the arguments."""

    def BeamSource(self, batch_size: int | None = None) -> beam.PTransform:  # noqa: N802 (TFX's name)
        """Reads the rows in the order of the files' names, in batches of `batch_size` (default `ROWS_PER_BATCH`)."""
        schema = self._GetSchemaForDecoding()
        return _Read(self._file_pattern, _Decode(schema, self.raw_record_column_name, batch_size or ROWS_PER_BATCH))

    def _ProjectImpl(self, tensor_names: list[str]) -> TFExampleRecord:  # noqa: N802 (TFX's name)
        projected = super()._ProjectImpl(tensor_names)
        return Examples(
            projected._file_pattern, schema=projected._schema, raw_record_column_name=self.raw_record_column_name
        )


class _Read(beam.PTransform):  # type: ignore[misc]
    def __init__(self, patterns: Sequence[str], decode: _Decode) -> None:
        super().__init__()
        self._files = sorted(file for pattern in patterns for file in fileio.glob(pattern))
        self._decode = decode

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        # Grouping spreads the files over the workers. Beam's Reshuffle would too, but in a random order, so that
        # training could not be reproduced.
        return (
            pipeline
            | "Files" >> beam.Create([(file, None) for file in self._files], reshuffle=False)
            | "Spread" >> beam.GroupByKey()
            | "Names" >> beam.Keys()
            | "Decode" >> beam.ParDo(self._decode)
        )


@beam.typehints.with_input_types(str)
@beam.typehints.with_output_types(pa.RecordBatch)
class _Decode(beam.DoFn):  # type: ignore[misc]
    def __init__(self, schema: schema_pb2.Schema | None, raw_column: str | None, rows: int) -> None:
        self._schema = schema.SerializeToString() if schema else None
        self._raw_column = raw_column
        self._rows = rows

    def setup(self) -> None:
        self._decoder = ExamplesToRecordBatchDecoder(*([self._schema] if self._schema else []))

    def process(self, file: str) -> Iterator[pa.RecordBatch]:
        examples = tf.data.TFRecordDataset(file, compression_type="GZIP")
        for batch in examples.batch(self._rows).as_numpy_iterator():
            columns = self._decoder.DecodeBatch(batch)
            yield AppendRawRecordColumn(columns, self._raw_column, batch) if self._raw_column else columns
