"""The output of Transform. Its computations are tested in tests/trainer/test_preprocessing.py."""

from collections.abc import Callable
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest
import tensorflow as tf

from components import transform
from tests.components import item_ratings

_ITEMS = pa.large_list(pa.large_binary())
_RATINGS = pa.large_list(pa.float32())


def _batch(number: int) -> pa.RecordBatch:
    """Three rows, the first without an item."""
    items = pa.array([None, [f"{number}/1".encode()], [f"{number}/2".encode()]], _ITEMS)
    ratings = pa.array([[number + row / 8] for row in range(3)], _RATINGS)
    return pa.RecordBatch.from_arrays([items, ratings], ["item", "rating"])


def _write(folder: Path, through: Callable[[pa.RecordBatch], pa.RecordBatch] = lambda batch: batch) -> None:
    """Three batches, as in a run of ours: by one worker, whose order is known."""
    write = transform._Processor._EncodeAndWrite(item_ratings.SCHEMA, "tfrecords_gzip", str(folder / "part"))
    with item_ratings.pipeline() as pipeline:
        _ = (
            pipeline
            | beam.Create(range(3), reshuffle=False)
            | beam.Map(_batch)
            | beam.Map(through)
            | beam.Map(lambda batch: (batch, {}))
            | write
        )


def test_writes_batches_in_files_of_a_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Two batches of 4 rows at most to a file.
    monkeypatch.setattr(transform, "ROWS_PER_BATCH", 4)
    monkeypatch.setattr(transform, "ROWS_PER_SHARD", 8)
    _write(tmp_path)
    files = sorted(map(str, tmp_path.glob("part-*.gz")))
    assert len(files) == 2
    written = tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator()
    expected = [
        item_ratings.example(f"{file}/{row}" if row else None, file + row / 8) for file in range(3) for row in range(3)
    ]
    assert [tf.train.Example.FromString(example) for example in written] == expected


def test_a_failed_write_leaves_no_file_that_would_be_read(tmp_path: Path) -> None:
    def broken(batch: pa.RecordBatch) -> pa.RecordBatch:
        if batch["rating"].to_pylist()[0][0] >= 2:
            raise ValueError("expected to fail")
        return batch

    with pytest.raises(Exception, match="expected to fail"):
        _write(tmp_path, broken)
    assert not list(tmp_path.glob("part-*"))
