"""Transform's reading and writing; what it computes is `tests/trainer/test_preprocessing.py`'s matter."""

import json
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components import transform
from components.example_gen import GZIP
from pipeline.beam import Direct

_SCHEMA = text_format.Parse(
    """
    feature { name: "item" type: BYTES }
    feature { name: "rating" type: FLOAT presence { min_fraction: 1 min_count: 1 } shape { dim { size: 1 } } }
    """,
    schema_pb2.Schema(),
)


def _example(item: str | None, rating: float) -> tf.train.Example:
    example = tf.train.Example()
    example.features.feature["rating"].float_list.value.append(rating)
    item_feature = example.features.feature["item"]  # without a value where there is no item
    if item is not None:
        item_feature.bytes_list.value.append(item.encode())
    return example


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files of 3 rows, one of none."""
    folder = tmp_path / "examples"
    folder.mkdir()
    for file in range(4):
        with tf.io.TFRecordWriter(str(folder / f"data-{file}.gz"), GZIP) as writer:
            for row in range(3 if file < 3 else 0):
                writer.write(_example(f"{file}/{row}" if row else None, file + row / 8).SerializeToString())
    return folder


def _pipeline() -> beam.Pipeline:
    """As in a run of ours: one worker, whose order is known."""
    return beam.Pipeline(argv=Direct().arguments(Path()))


def _written(folder: Path) -> list[tf.train.Example]:
    files = sorted(map(str, folder.glob("part-*.gz")))
    return [
        tf.train.Example.FromString(example)
        for example in tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator()
    ]


def test_reads_all_files_in_order_and_in_batches(folder: Path, tmp_path: Path) -> None:
    source = transform._Examples(str(folder / "*"), schema=_SCHEMA).BeamSource(2)
    with _pipeline() as pipeline:
        _ = (
            pipeline
            | source
            | beam.Map(lambda batch: json.dumps(batch.to_pydict(), default=bytes.decode))
            | beam.io.WriteToText(str(tmp_path / "batches"))
        )
    (file,) = tmp_path.glob("batches*")
    batches = [json.loads(line) for line in file.read_text().splitlines()]
    assert [batch["rating"] for batch in batches] == [
        [[0.0], [0.125]],
        [[0.25]],
        [[1.0], [1.125]],
        [[1.25]],
        [[2.0], [2.125]],
        [[2.25]],
    ]
    assert batches[0]["item"] == [None, ["0/1"]]


def test_reads_projected_columns_only(folder: Path) -> None:
    projected = transform._Examples(str(folder / "*"), schema=_SCHEMA).Project(["rating"])
    assert projected.ArrowSchema().names == ["rating"]
    assert isinstance(projected.projected, transform._Examples)


def test_writes_what_was_read_in_files_of_a_size(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Two batches of 4 rows at most to a file.
    monkeypatch.setattr(transform, "_ROWS_PER_BATCH", 4)
    monkeypatch.setattr(transform, "ROWS_PER_SHARD", 8)
    source = transform._Examples(str(folder / "*"), schema=_SCHEMA).BeamSource()
    write = transform._Processor._EncodeAndWrite(_SCHEMA, "tfrecords_gzip", str(tmp_path / "part"))
    with _pipeline() as pipeline:
        _ = pipeline | source | beam.Map(lambda batch: (batch, {})) | write
    assert len(list(tmp_path.glob("part-*.gz"))) == 2
    expected = [_example(f"{file}/{row}" if row else None, file + row / 8) for file in range(3) for row in range(3)]
    assert _written(tmp_path) == expected


def test_a_failed_write_leaves_no_file_that_would_be_read(folder: Path, tmp_path: Path) -> None:
    def broken(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, dict[str, pa.Array]]:
        if batch["rating"].to_pylist()[0][0] >= 2:
            raise ValueError("expected to fail")
        return batch, {}

    source = transform._Examples(str(folder / "*"), schema=_SCHEMA).BeamSource(3)
    write = transform._Processor._EncodeAndWrite(_SCHEMA, "tfrecords_gzip", str(tmp_path / "part"))
    with pytest.raises(Exception, match="expected to fail"), _pipeline() as pipeline:
        _ = pipeline | source | beam.Map(broken) | write
    assert not list(tmp_path.glob("part-*"))
