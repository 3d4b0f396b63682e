"""Items as ExampleGen notes them, as plain tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schema.feature_spec import MISSING, FeatureSpec
from trainer.item_table import read

COLUMNS = {"y": "integer", "user": "string", "movie": "integer", "tags": "strings", "year": "integer", "price": "float"}
DESCRIBED = {
    "label": "y",
    "ranking": {"group": "user", "item": "movie", "item_columns": ["tags", "year", "price"], "title": "year"},
    "features": {"year": "categorical"},
}


@pytest.fixture
def path(tmp_path: Path) -> str:
    table = pa.table(
        {
            "movie": pa.array([7, 9, 11]),
            "tags": pa.array([["a", "b"], None, ["c"]]),
            "year": pa.array([1990, None, 1995]),
            "price": pa.array([None, 2.5, 3.0]),
        }
    )
    pq.write_table(table, tmp_path / "items.parquet")
    return str(tmp_path / "items.parquet")


def test_missing_values_and_lists_are_filled_up(path: str) -> None:
    items = read(path, FeatureSpec.model_validate(DESCRIBED).resolve(COLUMNS))
    assert items is not None
    assert len(items) == 3
    assert {name: values.dtype for name, values in items.columns.items()} == {
        "movie": np.int64, "tags": object, "year": np.int64, "price": np.float32,
    }  # fmt: skip
    assert items.columns["tags"].tolist() == [["a", "b"], ["", ""], ["c", ""]]
    assert items.columns["year"].tolist() == [1990, MISSING["integer"], 1995]
    assert np.isnan(items.columns["price"][0])
    assert items.titles is not None
    assert items.titles.tolist() == ["1990", "", "1995"]


def test_only_what_the_model_reads_and_the_id(path: str) -> None:
    described = DESCRIBED | {"ignore": ["price", "movie"], "features": {}}
    items = read(path, FeatureSpec.model_validate(described).resolve(COLUMNS))
    assert items is not None
    assert set(items.columns) == {"movie", "tags"}


def test_a_dataset_without_a_ranking(path: str) -> None:
    assert read(path, FeatureSpec.model_validate(DESCRIBED | {"ranking": None}).resolve(COLUMNS)) is None


def test_no_item_at_all(tmp_path: Path) -> None:
    spec = FeatureSpec.model_validate(DESCRIBED).resolve(COLUMNS)
    assert read(str(tmp_path / "none.parquet"), spec) is None
