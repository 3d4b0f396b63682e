"""Datasets for tests: a user's folder, and the datasets that come with Rankline, read once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from schema.checks import Checks
from schema.dataset import Dataset, find
from schema.splits import read_splits, time_boundaries


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes a dataset's folder: its description, and files whose content is text, bytes or a table."""

    def make(description: str, files: Mapping[str, str | bytes | pa.Table]) -> Path:
        folder = tmp_path / "stranger"
        folder.mkdir()
        (folder / "features.yaml").write_text(description, encoding="utf-8")
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, pa.Table):
                pq.write_table(content, path)
            else:
                path.write_bytes(content.encode() if isinstance(content, str) else content)
        return folder

    return make


@dataclass(frozen=True)
class ReadDataset:
    """A dataset and all of its rows by split."""

    dataset: Dataset
    splits: Mapping[str, pa.Table]


def _read(name: str) -> ReadDataset:
    dataset = find(name)
    boundaries = time_boundaries([path for paths in dataset.files.values() for path in paths], dataset.spec)
    checks = Checks(dataset.spec)
    found: dict[str, list[pa.RecordBatch]] = {"train": [], "eval": [], "test": []}
    for part, rows, path in read_splits(dataset, boundaries):
        found[part].append(rows)
        checks.add(part, rows, path)
    checks.verify()
    return ReadDataset(dataset, {part: pa.Table.from_batches(rows) for part, rows in found.items()})


@pytest.fixture(scope="session")
def movielens() -> ReadDataset:
    return _read("movielens")


@pytest.fixture(scope="session")
def census() -> ReadDataset:
    return _read("census")


_TFMD_TYPES = {schema_pb2.BYTES: "string", schema_pb2.INT: "integer", schema_pb2.FLOAT: "float"}


@pytest.fixture
def schema_holds() -> Callable[[ReadDataset], None]:
    return _assert_schema_holds


def _assert_schema_holds(read: ReadDataset) -> None:
    """That a dataset's schema.pbtxt describes exactly its columns, and is true of every split."""
    assert read.dataset.schema_path is not None
    proto = text_format.Parse(read.dataset.schema_path.read_text(encoding="utf-8"), schema_pb2.Schema())
    kinds = {**read.dataset.spec.columns, "_label": "float"}
    assert {feature.name: _TFMD_TYPES[feature.type] for feature in proto.feature} == {
        name: kind.removesuffix("s") for name, kind in kinds.items()
    }
    for rows in read.splits.values():
        for feature in proto.feature:
            column = rows[feature.name].combine_chunks()
            assert 1 - column.null_count / len(column) >= feature.presence.min_fraction, feature.name
            if pa.types.is_list(column.type):
                column = column.flatten()
            else:
                assert (feature.value_count.min, feature.value_count.max) == (1, 1), feature.name
            domain = feature.WhichOneof("domain_info")
            if domain == "string_domain":
                assert set(pc.unique(column.drop_null()).to_pylist()) <= set(feature.string_domain.value), feature.name
            elif domain:
                bounds, span = getattr(feature, domain), pc.min_max(column).as_py()
                assert span["min"] >= bounds.min, feature.name
                assert not bounds.HasField("max") or span["max"] <= bounds.max, feature.name
