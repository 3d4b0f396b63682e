"""The report on data whose facts are known."""

from pathlib import Path

import pytest
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.components.schema_gen.executor import DEFAULT_FILE_NAME
from tfx.utils import io_utils

from components.report import data
from schema.feature_spec import SPLITS

DESCRIPTION = """
label: y
source: {files: {train: train.csv, eval: eval.csv, test: test.csv}}
features: {tags: {type: multivalent, separator: "|"}, price: {type: numeric, max_missing: 1}}
"""
ROWS = [f"{n % 4 == 0:d},{'Rome' if n % 5 else 'Oslo'},a|b,{n if n % 2 else ''}" for n in range(40)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, make_dataset):
    def file(rows: list[str]) -> str:
        return "\n".join(["y,city,tags,price", *rows, ""])

    elsewhere = [row.replace("Rome", "Kyiv") for row in ROWS]
    folder = tmp_path_factory.mktemp("data") / "shop"
    return make_dataset(
        folder, DESCRIPTION, {"train.csv": file(ROWS), "eval.csv": file(ROWS), "test.csv": file(elsewhere)}
    )


@pytest.fixture(scope="module")
def examples(tmp_path_factory, dataset, make_examples):
    return make_examples(dataset, tmp_path_factory.mktemp("examples"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory, examples, make_statistics):
    import tensorflow_data_validation as tfdv

    statistics = make_statistics(examples, tmp_path_factory.mktemp("statistics"))
    schema = tmp_path_factory.mktemp("schema")
    inferred = tfdv.infer_schema(tfdv.load_stats_binary(str(Path(statistics.uri) / "Split-train" / "FeatureStats.pb")))
    io_utils.write_pbtxt_file(str(schema / DEFAULT_FILE_NAME), inferred)
    return statistics.uri, str(schema)


@pytest.fixture(scope="module")
def columns(dataset, folders):
    return {column.name: column for column in data.columns(*folders, dataset.spec, SPLITS, None)}


def test_splits(dataset, examples):
    found = {split.name: (split.rows, split.mean_label) for split in data.splits(examples.uri, dataset.spec)}
    assert found == {"train": (40, 0.25), "eval": (40, 0.25), "test": (40, 0.25)}


def test_a_column_of_texts(columns):
    city = columns["city"]
    assert (city.kind, city.missing, city.unique, city.summary) == ("text", 0, 2, "Rome 80%, Oslo 20%")
    assert city.histogram == pytest.approx([0.8, 0.2])


def test_a_column_of_lists(columns):
    assert (columns["tags"].kind, columns["tags"].unique) == ("list", 2)
    assert columns["tags"].histogram == pytest.approx([0.5, 0.5])


def test_a_column_of_numbers_half_of_which_are_missing(columns):
    price = columns["price"]
    assert (price.kind, price.missing, price.unique) == ("number", 0.5, None)
    assert price.summary == "20 ± 11.53, 1 to 39"
    assert sum(price.histogram) == pytest.approx(1, abs=0.01)


def test_drift_is_measured_between_splits(columns):
    assert columns["city"].drift["eval"] == pytest.approx(0, abs=1e-6)
    assert columns["city"].drift["test"] > 0.5


def test_drift_between_spans_is_taken_over(dataset, folders, tmp_path):
    found = anomalies_pb2.Anomalies()
    info = found.drift_skew_info.add()
    info.path.step.append("city")
    info.drift_measurements.add(value=0.125)
    (tmp_path / "Split-span").mkdir()
    (tmp_path / "Split-span" / "SchemaDiff.pb").write_bytes(found.SerializeToString())
    columns = {column.name: column for column in data.columns(*folders, dataset.spec, SPLITS, str(tmp_path))}
    assert columns["city"].drift["span before"] == 0.125
    assert "span before" not in columns["tags"].drift
