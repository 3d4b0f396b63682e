"""The same rows as CSV, as a folder of Parquet files and as TFRecords: the same examples, and the same model."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from pipeline.config.run import RunConfig
from pipeline.run.graph import create_pipeline
from pipeline.run.node import CompiledPipeline
from schema.dataset import find

DESCRIPTION = """
label: {column: stars, positive: ">= 4"}
ranking: {group: user, item: movie, item_columns: [price]}
ignore: [title]
features:
  tags: {type: multivalent, max_missing: 0.9}
"""


def rows_of(folder: Path) -> list[dict]:
    """The stranger's ratings, in the types that they mean."""
    found = []
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                tags = [tag for tag in row["tags"].split("|") if tag]
                numbers = {"movie": int(row["movie"]), "stars": int(row["stars"]), "price": float(row["price"])}
                found.append({**row, **numbers, "tags": tags})
    return found


def write_csv(rows: list[dict], folder: Path) -> str:
    with (folder / "rows.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "tags": "|".join(row["tags"])} for row in rows)
    return DESCRIPTION.replace("{type: multivalent,", '{type: multivalent, separator: "|",')


def write_parquet(rows: list[dict], folder: Path) -> str:
    for day, part in (("1", rows[:900]), ("2", rows[900:])):
        (folder / "rows" / f"day={day}").mkdir(parents=True)
        pq.write_table(
            pa.Table.from_pylist(part), folder / "rows" / f"day={day}" / "part-0.parquet", row_group_size=300
        )
    return DESCRIPTION + "source: {files: rows}\n"


def write_tf_records(rows: list[dict], folder: Path) -> str:
    def feature(value: object) -> tf.train.Feature:
        values = value if isinstance(value, list) else [value]
        if all(isinstance(each, str) for each in values):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[each.encode() for each in values]))
        if isinstance(value, int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    with tf.io.TFRecordWriter(str(folder / "rows.tfrecord")) as writer:
        for row in rows:
            features = tf.train.Features(feature={name: feature(value) for name, value in row.items()})
            writer.write(tf.train.Example(features=features).SerializeToString())
    return DESCRIPTION


FORMATS = {"csv": write_csv, "parquet": write_parquet, "tfrecord": write_tf_records}


@pytest.fixture(scope="module")
def datasets(stranger, tmp_path_factory) -> dict[str, Path]:
    """Format -> the folder of a dataset with the stranger's rows in it."""
    folders = {}
    for name, write in FORMATS.items():
        folders[name] = tmp_path_factory.mktemp(name) / "ratings"
        folders[name].mkdir()
        description = write(rows_of(stranger.folder), folders[name])
        (folders[name] / "features.yaml").write_text(description)
    return folders


@pytest.fixture(scope="module")
def begun(datasets, tmp_path_factory) -> dict[str, Path]:
    """Format -> what ExampleGen wrote."""
    outputs = {}
    for name, folder in datasets.items():
        config = RunConfig(root=tmp_path_factory.mktemp(f"{name}-runs"))
        outcome = CompiledPipeline(create_pipeline(config, find(folder)), "1").launch("ExampleGen")
        outputs[name] = Path(outcome.outputs["examples"][0].uri)
    return outputs


def examples(output: Path, split: str) -> Counter:
    """How often each example occurs, whatever the order of rows and of features."""
    files = [str(path) for path in output.glob(f"Split-{split}/*")]
    records = tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator()
    return Counter(
        str(sorted((name, str(value)) for name, value in tf.train.Example.FromString(record).features.feature.items()))
        for record in records
    )


@pytest.mark.parametrize("split", ["train", "eval", "test"])
@pytest.mark.parametrize("form", ["parquet", "tfrecord"])
def test_examples_and_their_splits_are_those_of_the_csv_file(begun, form, split):
    assert examples(begun[form], split) == examples(begun["csv"], split)


@pytest.mark.parametrize("form", ["parquet", "tfrecord"])
def test_columns_are_of_the_types_that_they_are_of_in_the_csv_file(datasets, form):
    """So that with equal examples the schema is the same, and all that follows."""
    assert find(datasets[form]).spec.columns == find(datasets["csv"]).spec.columns


@pytest.mark.long
@pytest.mark.parametrize("form", ["parquet", "tfrecord"])
def test_the_whole_chain(datasets, tmp_path, rankline, form):
    done = rankline(
        "run", "-d", str(datasets[form]), "--root", str(tmp_path), "--set", "train.batch_size=64",
        "--set", "infra_check_rows=50",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list((tmp_path / "ratings" / "serving").iterdir())) == 1
    assert done.stdout.count("the best of") == 3
