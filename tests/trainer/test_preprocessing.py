"""Hand-worked values for everything that the feature language can ask of Transform."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.feature_spec import MISSING, FeatureSpec
from trainer import vocabulary
from trainer.input_columns import InputColumn, ids_of, input_columns
from trainer.preprocessing import preprocessing_fn, tokens

NAN = math.nan
NO_INTEGER = MISSING["integer"]
DTYPES = {"string": tf.string, "integer": tf.int64, "float": tf.float32}


def feature_spec_of(spec: FeatureSpec) -> dict[str, object]:
    """The raw feature spec that the pipeline's schema leads to."""
    return {
        name: tf.io.FixedLenFeature([], DTYPES[kind])
        if kind in DTYPES
        else tf.io.VarLenFeature(DTYPES[kind.removesuffix("s")])
        for name, kind in spec.columns.items()
    } | {"_label": tf.io.FixedLenFeature([], tf.float32)}


def transform(spec: FeatureSpec, rows: list[dict], folder: Path) -> tuple[list[dict], tft.TFTransformOutput]:
    """Analyses and transforms rows as the Transform component does."""
    metadata = tft.DatasetMetadata.from_feature_spec(feature_spec_of(spec))
    fn = functools.partial(preprocessing_fn, custom_config={"spec": spec.model_dump_json()})
    with tft_beam.Context(temp_dir=str(folder / "tmp")):
        (transformed, _), graph = (rows, metadata) | tft_beam.AnalyzeAndTransformDataset(fn)
        _ = graph | tft_beam.WriteTransformFn(str(folder / "graph"))
    return transformed, tft.TFTransformOutput(str(folder / "graph"))


SPEC = FeatureSpec.model_validate(
    {
        "label": "clicked",
        "features": {
            "item": {"vocabulary": {"min_count": 2}, "oov_buckets": 2},
            "last": {"shares": "item"},
            "shop": {"vocabulary": {"top_k": 1}},
            "city": {"hash_buckets": 7},
            "code": {},
            "tags": {"type": "multivalent", "separator": "|", "combiner": "sum"},
            "age": {"type": "numeric", "buckets": 2, "missing_indicator": True},
            "price": {"type": "numeric", "log1p": True, "scale": "none"},
            "speed": {"type": "numeric", "scale": "min_max"},
        },
        "crosses": [
            {"columns": ["shop", "code"]},
            {"columns": ["age", "tags"], "vocabulary": {"min_count": 2}},
            {"columns": ["item", "city"], "hash_buckets": 11},
        ],
    }
).resolve(
    {
        "clicked": "integer",
        "item": "string",
        "last": "string",
        "shop": "string",
        "city": "string",
        "code": "integer",
        "tags": "string",
        "age": "float",
        "price": "float",
        "speed": "float",
    }
)


def row(**values: object) -> dict:
    empty = {
        "item": "", "last": "", "shop": "", "city": "", "code": NO_INTEGER, "tags": [],
        "age": NAN, "price": NAN, "speed": NAN, "_label": 0.0,
    }  # fmt: skip
    return empty | values


ROWS = [
    row(item="a", last="b", shop="x", city="u", code=7, tags=["t1", "t2"], age=1, price=0, speed=2, _label=1.0),
    row(item="b", last="c", shop="x", city="v", code=-7, tags=["t1"], age=3, price=math.e - 1, speed=4),
    row(item="d", last="b", shop="y", city="u", code=7, tags=["t1"], age=5, price=1 - math.e, speed=6),
    row(),
]


@pytest.fixture(scope="module")
def transformed(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict], tft.TFTransformOutput]:
    return transform(SPEC, ROWS, tmp_path_factory.mktemp("transform"))


def column(transformed: tuple[list[dict], tft.TFTransformOutput], name: str) -> list:
    return [np.asarray(example[name]).tolist() for example in transformed[0]]


def test_label_is_passed_through(transformed):
    assert column(transformed, "_label") == [1, 0, 0, 0]


def test_vocabulary_is_shared_and_has_oov_buckets_and_an_id_for_missing(transformed):
    # item and last together: b 3 times; a, c, d once each, which is less than min_count 2. So b is id 0, the two
    # OOV buckets are 1 and 2, and 3 stands for a missing value.
    item, last = column(transformed, "item"), column(transformed, "last")
    assert item[1] == 0
    assert last[0] == last[2] == 0
    assert {item[0], item[2], last[1]} <= {1, 2}
    assert item[3] == last[3] == 3


def test_vocabulary_top_k(transformed):
    # x twice, y once; one token kept: x is 0, the OOV bucket 1, missing 2.
    assert column(transformed, "shop") == [0, 0, 1, 2]


def test_hashed_feature(transformed):
    bucket = [int(tf.strings.to_hash_bucket_fast(city, 7)) for city in ("u", "v")]
    assert column(transformed, "city") == [bucket[0], bucket[1], bucket[0], 7]


def test_integers_are_tokens(transformed):
    # 7 twice, -7 once; OOV 2, missing 3.
    assert column(transformed, "code") == [0, 1, 0, 3]


def test_multivalent(transformed):
    # t1 three times, t2 once.
    assert column(transformed, "tags") == [[0, 1], [0], [0], []]


def test_z_score_passes_over_missing_values(transformed):
    # Of 1, 3, 5: mean 3, variance (4 + 0 + 4) / 3, so ±2 / √(8/3) = ±1.2247.
    assert column(transformed, "age") == pytest.approx([-1.2247449, 0, 1.2247449, 0], abs=1e-6)
    assert column(transformed, "age_missing") == [0, 0, 0, 1]


def test_quantile_buckets_with_one_for_missing(transformed):
    # The median 3 opens the second bucket; 2 is the bucket of missing values.
    assert column(transformed, "age_bucket") == [0, 1, 1, 2]


def test_log1p_is_symmetric(transformed):
    # ln(1 + 0) = 0, ln(1 + e - 1) = 1, and the same with the sign of 1 - e.
    assert column(transformed, "price") == pytest.approx([0, 1, -1, 0], abs=1e-6)


def test_min_max_passes_over_missing_values(transformed):
    # Of 2, 4, 6: (x - 2) / 4.
    assert column(transformed, "speed") == pytest.approx([0, 0.5, 1, 0])


def test_cross_by_vocabulary(transformed):
    # (x, 7), (x, -7), (y, 7), (missing, missing), once each: in order of their bytes, where missing is empty.
    assert column(transformed, "shop_x_code") == [2, 1, 3, 0]


def test_cross_of_buckets_and_a_multivalent_column(transformed):
    # Tokens: row 1 (0, t1), (0, t2); row 2 (1, t1); row 3 (1, t1); row 4 none. Only (1, t1) is seen twice: id 0;
    # the others share the OOV bucket 1.
    assert column(transformed, "age_x_tags") == [[1, 1], [0], [0], []]


def test_hashed_cross(transformed):
    first = int(tf.strings.to_hash_bucket_fast(f"a{vocabulary.SEPARATOR}u", 11))
    missing = int(tf.strings.to_hash_bucket_fast(vocabulary.SEPARATOR, 11))
    assert column(transformed, "item_x_city")[0] == first
    assert column(transformed, "item_x_city")[3] == missing


def test_vocabularies_can_be_read_back(transformed):
    path = transformed[1].vocabulary_file_by_name(vocabulary.ASSET)
    assert vocabulary.read(path) == {
        "item": ["b"],
        "shop": ["x"],
        "code": ["7", "-7"],
        "tags": ["t1", "t2"],
        "shop_x_code": ["\x1f", "x\x1f-7", "x\x1f7", "y\x1f7"],
        "age_x_tags": ["1\x1ft1"],
    }


def test_sizes_bound_every_id(transformed):
    sizes = {name: ids.size for name, ids in ids_of(SPEC, transformed[1]).items()}
    assert sizes == {
        "item": 4, "last": 4, "shop": 3, "city": 8, "code": 4, "tags": 3,
        "shop_x_code": 5, "age_x_tags": 2, "item_x_city": 11, "age_bucket": 3,
    }  # fmt: skip
    for name, size in sizes.items():
        assert all(0 <= i < size for ids in column(transformed, name) for i in np.ravel(ids))


def test_input_columns(transformed):
    columns = {c.name: c for c in input_columns(SPEC, ids_of(SPEC, transformed[1]))}
    assert set(columns) == {*transformed[0][0]} - {"_label"}
    # 6 · 4^¼ = 8.5, up to a multiple of 4.
    assert columns["last"] == InputColumn("last", "categorical", ("wide", "deep"), 4, 12, "item", "sum")
    assert columns["tags"].combiner == "sum"
    assert columns["age"].parts == ("deep",)
    assert columns["age_bucket"] == InputColumn("age_bucket", "categorical", ("wide",), 3, 0, "age_bucket", "sum")
    assert columns["age_x_tags"].kind == "multivalent"
    assert columns["item_x_city"].kind == "categorical"


TEXT = st.text(max_size=5)
NUMBER = st.floats(-1e6, 1e6, width=32) | st.just(NAN)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.builds(
            row,
            item=TEXT, last=TEXT, shop=TEXT, city=TEXT, code=st.integers(-(2**63), 2**63 - 1),
            tags=st.lists(TEXT.filter(bool), max_size=4), age=NUMBER, price=NUMBER, speed=NUMBER,
        ),
        min_size=1, max_size=5,
    )
)  # fmt: skip
def test_serving_time_row_equals_training_time_row(transformed, rows):
    """A row alone in a request (no label) gets what it gets in a batch with others (with labels)."""
    layer = transformed[1].transform_features_layer()

    def tensors(some: list[dict], with_label: bool) -> dict[str, object]:
        result = {}
        for name, spec in feature_spec_of(SPEC).items():
            values = [r[name] for r in some]
            if isinstance(spec, tf.io.VarLenFeature):
                result[name] = tf.ragged.constant(values, dtype=spec.dtype, ragged_rank=1).to_sparse()
            elif name != "_label" or with_label:
                result[name] = tf.constant(values, spec.dtype)
        return result

    def dense(outputs: dict, at: int) -> dict[str, list]:
        return {
            name: (tf.RaggedTensor.from_sparse(v)[at] if isinstance(v, tf.SparseTensor) else v[at]).numpy().tolist()
            for name, v in outputs.items()
            if name != "_label"
        }

    together = layer(tensors(rows, with_label=True))
    for at, single in enumerate(rows):
        assert dense(layer(tensors([single], with_label=False)), 0) == dense(together, at)


def test_large_numbers_that_differ_by_little_are_scaled_as_any(tmp_path):
    """Milliseconds since 1970, some missing; and what is always the same."""
    spec = FeatureSpec.model_validate(
        {
            "label": "clicked",
            "features": {
                "time": {"type": "numeric"},
                "span": {"type": "numeric", "scale": "min_max"},
                "same": {"type": "numeric"},
            },
        }
    ).resolve({"clicked": "integer", "time": "float", "span": "float", "same": "float"})
    times = [NAN if number % 10 == 9 else 1.7e12 + 60_000 * number for number in range(2_000)]
    rows = [{"time": time, "span": time, "same": 0.1, "_label": 0.0} for time in times]

    found, _ = transform(spec, rows, tmp_path)

    held = np.asarray(times, np.float32).astype(np.float64)
    z_scores = (held - np.nanmean(held)) / np.nanstd(held)
    shares = (held - np.nanmin(held)) / (np.nanmax(held) - np.nanmin(held))
    by_name = {name: np.asarray([row[name] for row in found]) for name in ("time", "span", "same")}
    assert by_name["time"] == pytest.approx(np.nan_to_num(z_scores), abs=1e-6)
    assert by_name["span"] == pytest.approx(np.nan_to_num(shares), abs=1e-6)
    assert by_name["time"][~np.isnan(held)].std() == pytest.approx(1, abs=1e-5)
    assert by_name["same"] == pytest.approx(0, abs=1e-6)


def test_a_cross_joins_tokens_in_the_order_of_its_columns():
    """Row 1 has two tags, row 2 none, row 3 one; of two multi-valent columns each value is beside each of the other."""
    columns = {"shop": "string", "tags": "string", "sizes": "string"}
    multivalent = {"type": "multivalent", "separator": "|"}
    spec = FeatureSpec.model_validate(
        {
            "label": {"column": "clicked", "positive": ">= 1"},
            "features": {"shop": {}, "tags": multivalent, "sizes": multivalent},
            "crosses": [{"columns": ["shop", "tags"]}, {"columns": ["tags", "shop"]}, {"columns": ["tags", "sizes"]}],
        }
    ).resolve({"clicked": "integer", **columns})
    inputs = {
        "shop": tf.constant(["x", "y", ""]),
        "tags": tf.SparseTensor([[0, 0], [0, 1], [2, 0]], ["a", "b", "a"], [3, 2]),
        "sizes": tf.SparseTensor([[0, 0], [2, 0], [2, 1]], ["s", "m", "l"], [3, 2]),
    }

    found = tokens(spec, inputs, {})

    def lists(name):
        dense = tf.sparse.to_dense(found[name], "-").numpy()
        return [[token.decode().replace(vocabulary.SEPARATOR, "·") for token in row if token != b"-"] for row in dense]

    assert lists("shop_x_tags") == [["x·a", "x·b"], [], ["·a"]]
    assert lists("tags_x_shop") == [["a·x", "b·x"], [], ["a·"]]
    assert lists("tags_x_sizes") == [["a·s", "b·s"], [], ["a·m", "a·l"]]
