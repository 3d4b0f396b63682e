import json
from pathlib import Path

import apache_beam as beam
import pytest
import tensorflow as tf
from tfx.components.util import tfxio_utils

from components.example_batches import Examples, read_in_batches
from components.example_gen import GZIP
from tests.components import item_ratings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files of 3 rows, one of none."""
    folder = tmp_path / "examples"
    folder.mkdir()
    for file in range(4):
        with tf.io.TFRecordWriter(str(folder / f"data-{file}.gz"), GZIP) as writer:
            for row in range(3 if file < 3 else 0):
                writer.write(item_ratings.example(f"{file}/{row}" if row else None, file + row / 8).SerializeToString())
    return folder


def test_reads_all_files_in_order_and_in_batches(folder: Path, tmp_path: Path) -> None:
    source = Examples(str(folder / "*"), schema=item_ratings.SCHEMA).BeamSource(2)
    with item_ratings.pipeline() as pipeline:
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
    projected = Examples(str(folder / "*"), schema=item_ratings.SCHEMA).Project(["rating"])
    assert projected.ArrowSchema().names == ["rating"]
    assert isinstance(projected.projected, Examples)


def test_keeps_the_examples_themselves_where_they_are_asked_for(folder: Path, tmp_path: Path) -> None:
    source = Examples(str(folder / "*"), schema=item_ratings.SCHEMA, raw_record_column_name="raw").BeamSource()
    with item_ratings.pipeline() as pipeline:
        _ = (
            pipeline
            | source
            | beam.FlatMap(lambda batch: [example.hex() for (example,) in batch["raw"].to_pylist()])
            | beam.io.WriteToText(str(tmp_path / "raw"))
        )
    (file,) = tmp_path.glob("raw*")
    files = sorted(map(str, folder.iterdir()))
    examples = tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator()
    assert file.read_text().split() == [example.hex() for example in examples]


def test_is_what_components_of_tfx_read_with(folder: Path) -> None:
    def made() -> object:
        return tfxio_utils.make_tfxio(str(folder / "*"), [], "FORMAT_TF_EXAMPLE", schema=item_ratings.SCHEMA)

    with read_in_batches():
        assert isinstance(made(), Examples)
    assert not isinstance(made(), Examples)
