"""`rankline validate`: checked by hand on a few rows, and against Transform on many."""

import functools
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam

from schema.dataset import Dataset, find
from schema.describe import Input, SplitSize, describe
from schema.errors import DataError
from schema.feature_spec import MISSING
from schema.splits import read_splits
from trainer.input_columns import ids_of, input_columns
from trainer.preprocessing import preprocessing_fn

BY_FILE = "source: {files: {train: train.csv, eval: train.csv, test: train.csv}}\n"
SPEC = (
    BY_FILE
    + """
label: {column: y, positive: [3, 4]}
weight: w
ignore: [noise, area]
features:
  shop: {vocabulary: {min_count: 2}, oov_buckets: 3}
  city: {vocabulary: {top_k: 2}, embedding: 5}
  home: {shares: city, parts: [deep]}
  tags: {type: multivalent, separator: "|"}
  code: {hash_buckets: 9, parts: [wide]}
  age: {type: numeric, buckets: 2, missing_indicator: true}
  price: {type: numeric, log1p: true, scale: min_max, parts: [deep]}
crosses:
  - {columns: [shop, tags], parts: [wide, deep]}
  - {columns: [city, age], vocabulary: {min_count: 2}, oov_buckets: 2}
  - {columns: [shop, city, code], hash_buckets: 50}
slices: [area]
"""
)
HEADER = "y,w,noise,area,shop,city,home,tags,code,age,price\n"
ROWS = """3,1,0,n,a,p,q,s|t,c1,1,2.5
1,1,0,n,a,,p,t,c2,2,3.5
4,1,0,s,b,q,r,,c3,3,
2,1,0,s,,p,s,t|t,c4,,4
"""


def by_name(inputs: tuple[Input, ...]) -> dict[str, Input]:
    return {entry.name: entry for entry in inputs}


def test_by_hand(make_folder):
    description = describe(find(make_folder(SPEC, {"train.csv": HEADER + ROWS})))

    found = by_name(description.features)
    # a is seen twice, b once: one token, three for others, one for missing.
    assert found["shop"] == Input(
        "shop", "string", "1 tokens seen 2 times or more + 3 for others + 1 for missing",
        missing=0.25, ids=5, width=12, parts=("wide", "deep"),
    )  # 6 · 5^¼ = 8.97, rounded up to 12  # fmt: skip
    # With home, which shares the vocabulary: p 3, q 2, r 1, s 1; the two most frequent are kept.
    assert found["city"] == Input(
        "city", "string", "2 tokens, the 2 most frequent + 1 for others + 1 for missing",
        missing=0.25, ids=4, width=5, parts=("wide", "deep"),
    )  # fmt: skip
    assert (found["home"].ids, found["home"].width, found["home"].parts) == (4, 5, ("deep",))
    assert found["home"].becomes.endswith("shared with city")
    assert found["tags"] == Input(
        "tags", "strings", "2 tokens + 1 for others; mean of a row's",
        missing=0.25, ids=3, width=8, parts=("wide", "deep"),
    )  # 6 · 3^¼ = 7.9  # fmt: skip
    assert found["code"] == Input(
        "code", "string", "9 hash buckets + 1 for missing", missing=0.0, ids=10, width=0, parts=("wide",)
    )
    assert found["age"] == Input(
        "age", "float", "z-score, 2 buckets + 1 for missing, whether it is missing",
        missing=0.25, ids=3, width=2, parts=("wide", "deep"),
    )  # fmt: skip
    assert found["price"] == Input(
        "price", "float", "log1p, scaled to 0…1", missing=0.25, ids=0, width=1, parts=("deep",)
    )
    crosses = by_name(description.crosses)
    # a·s, a·t, a·t and (no shop)·t, (no shop)·t; the row without tags has none: three tokens.
    assert crosses["shop_x_tags"] == Input(
        "shop_x_tags", "shop × tags", "3 tokens + 1 for others", missing=None, ids=4, width=12, parts=("wide", "deep")
    )  # 6 · 4^¼ = 8.5  # fmt: skip
    # p·0, (no city)·1, q·1, p·(missing): none is seen twice.
    assert (crosses["city_x_age"].ids, crosses["city_x_age"].width) == (2, 0)
    assert (crosses["shop_x_city_x_code"].ids, crosses["shop_x_city_x_code"].becomes) == (50, "50 hash buckets")

    assert description.name == "stranger"
    assert description.splits == dict.fromkeys(("train", "eval", "test"), SplitSize(rows=4, labels=2))
    assert description.others == {
        "y": "label, positive: one of 3, 4",
        "w": "weight of the example",
        "area": "kept for the splits, rankings or slices",
        "noise": "ignored",
    }
    assert description.sizes == {
        "shop": 5, "city": 4, "home": 4, "tags": 3, "code": 10,
        "shop_x_tags": 4, "city_x_age": 2, "shop_x_city_x_code": 50,
    }  # fmt: skip
    assert description.deep_width == 12 + 5 + 5 + 8 + 0 + 2 + 1 + 12
    assert description.wide_ids == 5 + 4 + 3 + 10 + 3 + 4 + 2 + 50


def test_bad_data_is_told_as_in_a_run(make_folder):
    one_class = HEADER + ROWS.replace("1,1,0,n", "3,1,0,n").replace("2,1,0,s", "3,1,0,s")
    folder = make_folder(SPEC, {"train.csv": one_class})

    with pytest.raises(DataError, match="expected labels of both classes in the train split"):
        describe(find(folder))


def many_rows(seed: int) -> str:
    random = np.random.default_rng(seed)

    def some(prefix: str, count: int) -> str:
        """Ever rarer tokens, and now and then none."""
        token = int(random.geometric(3 / count))
        return "" if random.random() < 0.1 else f"{prefix}{token}"

    lines = []
    for _ in range(600):
        tags = "|".join(some("t", 12) for _ in range(random.integers(0, 4)))
        age = "" if random.random() < 0.1 else str(random.integers(1, 30))
        tokens = f"{some('s', 40)},{some('c', 20)},{some('c', 25)},{tags},{some('k', 90)}"
        lines.append(f"{random.integers(1, 5)},1,0,n,{tokens},{age},{random.random():.3f}")
    return "\n".join(lines) + "\n"


def transformed(dataset: Dataset, folder: Path) -> tft.TFTransformOutput:
    """Transform's analysis of the train split, on rows as its tensors hold them."""
    kinds = dataset.spec.columns
    types = {"string": tf.string, "integer": tf.int64, "float": tf.float32}
    features = {
        name: tf.io.FixedLenFeature([], types[kind]) if kind in types else tf.io.VarLenFeature(types[kind[:-1]])
        for name, kind in kinds.items()
    }
    rows = [
        {name: (MISSING.get(kinds[name], []) if row[name] is None else row[name]) for name in kinds}
        for split, batch, _ in read_splits(dataset)
        if split == "train"
        for row in batch.to_pylist()
    ]
    analyse = functools.partial(preprocessing_fn, custom_config={"spec": dataset.spec.model_dump_json()})
    with tft_beam.Context(temp_dir=str(folder / "tmp")):
        metadata = tft.DatasetMetadata.from_feature_spec(features)
        graph = (rows, metadata) | tft_beam.AnalyzeDataset(analyse)
        _ = graph | tft_beam.WriteTransformFn(str(folder / "graph"))
    return tft.TFTransformOutput(str(folder / "graph"))


def test_sizes_are_those_of_transform_and_of_the_models_inputs(make_folder, tmp_path):
    spec = SPEC.replace("buckets: 2", "buckets: 5")
    dataset = find(make_folder(spec, {"train.csv": HEADER + many_rows(seed=0)}))

    description = describe(dataset)
    ids = ids_of(dataset.spec, transformed(dataset, tmp_path))

    assert description.sizes == {name: ids[name].size for name in description.sizes}
    columns = input_columns(dataset.spec, ids)
    assert description.deep_width == sum(
        1 if column.kind == "numeric" else column.width for column in columns if "deep" in column.parts
    )
    assert description.wide_ids == sum(column.size for column in columns if "wide" in column.parts)
