"""A small dataset that went through Transform, in the layout that TFX gives the Trainer."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tfx.components.trainer.fn_args_utils import FnArgs

from schema.feature_spec import LABEL, FeatureSpec
from trainer.input_columns import InputColumn, ids_of, input_columns
from trainer.params import TrainParams
from trainer.preprocessing import preprocessing_fn

SPEC = FeatureSpec.model_validate(
    {
        "label": "liked",
        "ranking": {"group": "user", "item": "movie", "item_columns": ["genres", "price in €"]},
        "features": {
            "user": {},
            "movie": {"vocabulary": {"min_count": 2}},
            "genres": {"type": "multivalent"},
            "price in €": {"type": "numeric", "buckets": 4},
            "age": {"type": "numeric", "missing_indicator": True},
        },
        "crosses": [{"columns": ["user", "genres"], "hash_buckets": 50}],
    }
).resolve(
    {
        "liked": "float",
        "user": "integer",
        "movie": "string",
        "genres": "strings",
        "price in €": "float",
        "age": "float",
    }
)
"""A name that is no Python identifier, all kinds of columns, and a multi-valent cross."""

ROWS = {"train": 400, "eval": 100, "test": 60}
_DTYPES = {"string": tf.string, "integer": tf.int64, "float": tf.float32}


@dataclass(frozen=True)
class ToyData:
    """Where the data lies: `raw` and `transformed` have a folder `Split-<name>` per split."""

    raw: Path
    transformed: Path
    graph: Path
    rows: dict[str, list[dict]]
    """By split; of each row the raw columns that are there, and `LABEL`."""
    spec: FeatureSpec = SPEC

    @property
    def transform_output(self) -> tft.TFTransformOutput:
        return tft.TFTransformOutput(str(self.graph))

    @property
    def columns(self) -> tuple[InputColumn, ...]:
        return input_columns(SPEC, ids_of(SPEC, self.transform_output))

    @staticmethod
    def example(row: dict) -> bytes:
        """A row as a serialized raw tf.Example; what it lacks is missing."""
        return example(row)

    def files(self, split: str) -> list[str]:
        """As TFX names the files of transformed examples."""
        return [str(self.transformed / f"Split-{split}" / "*")]

    def fn_args(self, output: Path, work: Path, params: TrainParams, **config: str) -> FnArgs:
        """What TFX would call `run_fn` with."""
        return FnArgs(
            train_files=self.files("train"),
            eval_files=self.files("eval"),
            transform_graph_path=str(self.graph),
            serving_model_dir=str(output / "Format-Serving"),
            model_run_dir=str(output / "run"),
            custom_config={
                "spec": SPEC.model_dump_json(),
                "params": params.model_dump_json(),
                "work_dir": str(work),
                **config,
            },
        )


def make_rows(count: int, seed: int) -> list[dict]:
    """Random rows in which a movie's quality and a user's taste for its genres decide, some values missing."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        user, movie = int(random.integers(10)), int(random.integers(30))
        genres = [genre for bit, genre in enumerate(("drama", "comedy", "war")) if movie >> bit & 1]
        score = (movie % 7 - 3) / 2 + (len(genres) - 1.5) * (1 if user % 2 else -1) + random.normal()
        row = {
            "user": user,
            "movie": f"movie {movie}",
            "genres": genres,
            "price in €": float(movie % 4) + 0.99,
            "age": float(20 + 3 * user),
            LABEL: float(score > 0),
        }
        for name in ("user", "movie", "price in €", "age"):
            if random.random() < 0.05:
                del row[name]
        rows.append(row)
    return rows


def example(row: dict) -> bytes:
    """A row as a serialized raw tf.Example."""
    features = {}
    for name, value in row.items():
        values = value if isinstance(value, list) else [value]
        if name in ("movie", "genres"):
            tokens = [token.encode() for token in values]
            features[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=tokens))
        elif name == "user":
            features[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        else:
            features[name] = tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def write_records(path: Path, records: Sequence[bytes]) -> None:
    """Gzipped TFRecords."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for record in records:
            writer.write(record)


def _padded(row: dict) -> dict:
    """A row as the schema's tensor representations would fill it up for Transform."""
    return {"user": -(2**63), "movie": "", "genres": [], "price in €": math.nan, "age": math.nan} | row


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ToyData:
    folder = tmp_path_factory.mktemp("toy")
    rows = {split: make_rows(count, seed) for seed, (split, count) in enumerate(ROWS.items())}
    raw_features = {
        name: tf.io.FixedLenFeature([], _DTYPES[kind])
        if kind in _DTYPES
        else tf.io.VarLenFeature(_DTYPES[kind.removesuffix("s")])
        for name, kind in SPEC.columns.items()
    } | {LABEL: tf.io.FixedLenFeature([], tf.float32)}
    metadata = tft.DatasetMetadata.from_feature_spec(raw_features)
    transform = functools.partial(preprocessing_fn, custom_config={"spec": SPEC.model_dump_json()})
    padded = {split: [_padded(row) for row in rows[split]] for split in rows}
    with tft_beam.Context(temp_dir=str(folder / "tmp")):
        graph = (padded["train"], metadata) | tft_beam.AnalyzeDataset(transform)
        _ = graph | tft_beam.WriteTransformFn(str(folder / "graph"))
        for split in rows:
            transformed, metadata_out = ((padded[split], metadata), graph) | tft_beam.TransformDataset()
            coder = tft.coders.ExampleProtoCoder(metadata_out.schema)
            path = folder / "transformed" / f"Split-{split}" / "examples-0.gz"
            write_records(path, [coder.encode(row) for row in transformed])
            write_records(folder / "raw" / f"Split-{split}" / "examples-0.gz", [example(row) for row in rows[split]])
    return ToyData(folder / "raw", folder / "transformed", folder / "graph", rows)
