"""Names of columns change neither Transform's output nor a served model's answers."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from schema.feature_spec import FeatureSpec
from schema.names import is_fit
from schema.signatures import EXCLUDE, ITEMS, K, own_input
from serving.server import saved_model
from serving.server.servable import ServableId
from tests.names import FIT
from trainer import export, models, requests, seen, warmup
from trainer.export import ServedModel
from trainer.heads import Logistic
from trainer.input_columns import InputColumn, ids_of, input_columns
from trainer.item_table import ItemTable
from trainer.params import TrainParams
from trainer.preprocessing import preprocessing_fn
from trainer.raw_columns import raw_columns

PLAIN = ("user", "movie", "genres", "price", "age", "cross", "pair")
TYPES = ("string", "integer", "strings", "float", "float")

_random = np.random.default_rng(3)
ROWS = [
    [
        f"u{_random.integers(4)}",
        int(_random.integers(5)),
        [f"g{genre}" for genre in _random.permutation(3)[: _random.integers(3)]],
        float(_random.normal()),
        math.nan if _random.random() < 0.2 else float(_random.normal()),
    ]
    for _ in range(60)
]


def spec_of(names: Sequence[str]) -> FeatureSpec:
    """Five columns and two crosses, called so.

    Raises:
        ValueError: they cannot be.
    """
    user, movie, genres, price, age, cross, pair = names
    return FeatureSpec.model_validate(
        {
            "label": "clicked label",
            "ranking": {"group": user, "item": movie, "item_columns": [genres, price]},
            "features": {
                user: {},
                movie: {},
                genres: {"type": "multivalent"},
                price: {"type": "numeric", "buckets": 3},
                age: {"type": "numeric", "missing_indicator": True},
            },
            "crosses": [{"columns": [user, genres], "name": cross}, {"columns": [movie, price], "name": pair}],
        }
    ).resolve({"clicked label": "integer", **dict(zip(names, TYPES, strict=False))})


def example(row: Sequence[object], names: Sequence[str]) -> bytes:
    made = tf.train.Example()
    for name, kind, value in zip(names, TYPES, row, strict=False):
        feature = made.features.feature[name]
        if kind.startswith("string"):
            feature.bytes_list.value.extend(each.encode() for each in (value if isinstance(value, list) else [value]))
        elif kind == "integer":
            feature.int64_list.value.append(value)
        elif not math.isnan(value):
            feature.float_list.value.append(value)
    return made.SerializeToString()


def transformed(spec: FeatureSpec, names: Sequence[str], folder: Path) -> tft.TFTransformOutput:
    rows = [dict(zip(names, row, strict=False)) for row in ROWS]
    metadata = tft.DatasetMetadata.from_feature_spec(
        {
            name: tf.io.VarLenFeature(column.dtype) if column.multivalent else tf.io.FixedLenFeature([], column.dtype)
            for name, column in raw_columns(spec).items()
        }
    )
    transform = functools.partial(preprocessing_fn, custom_config={"spec": spec.model_dump_json()})
    with tft_beam.Context(temp_dir=str(folder / "tmp")):
        graph = (rows, metadata) | tft_beam.AnalyzeDataset(transform)
        _ = graph | tft_beam.WriteTransformFn(str(folder / "graph"))
    return tft.TFTransformOutput(str(folder / "graph"))


def answers(names: Sequence[str], folder: Path) -> list[np.ndarray]:
    """What each signature of a model says of all rows, and each transformed column, in a fixed order."""
    spec = spec_of(names)
    output = transformed(spec, names, folder)
    columns = input_columns(spec, ids_of(spec, output))
    keras.utils.set_random_seed(0)
    model = models.build(columns, TrainParams(hidden_units=(4,)))
    for index, variable in enumerate(model.trainable_variables):
        variable.assign(tf.random.stateless_normal(variable.shape, seed=[0, index]))
    path = folder / "model" / "Format-Serving"
    _, movie, genres, price = names[:4]
    items = {
        movie: np.arange(5),
        genres: np.array([["g0"], ["g1"], [""], ["g2"], ["g0"]], object),
        price: np.linspace(0, 1, 5, dtype=np.float32),
    }
    signatures = ServedModel(model, Logistic(), spec, output, ItemTable(items)).save(str(path))

    examples = [example(row, names) for row in ROWS]
    with tf.io.TFRecordWriter(str(folder / "raw.gz"), "GZIP") as writer:
        for each in examples:
            writer.write(each)
    warmup.write(str(path), spec, signatures, [str(folder / "raw.gz")])
    served = saved_model.load(ServableId("names", 1), str(path))  # replays the warm-up
    serialized = np.array(examples, object)
    context = requests.context_inputs(spec, examples[0])
    found = [
        *served.run("serving_default", {"examples": serialized}, ["logit", "probability"]),
        *served.run("rank", dict(requests.rank_inputs(spec, examples)), ["logit"]),
        *served.run("rank_ids", dict(requests.rank_ids_inputs(spec, examples)), ["logit", "known"]),
        *served.run("recommend", dict(requests.recommend_inputs(spec, context, 3)), ["items", "logit"]),
        *served.run("classify", {"inputs": serialized}, ["scores"]),
        *served.run("regress", {"inputs": serialized}, ["outputs"]),
        *served.run("transform_features", {"examples": serialized}, [column.name for column in columns]),
    ]
    served.close()

    # As a Python program would ask, with a tensor for each column.
    own = [own_input(name, spec.input_columns) for name in (ITEMS, K, EXCLUDE)]
    arguments = export._argument_names([*spec.input_columns, *own])
    inputs = {arguments[name]: values for name, values in requests.rank_inputs(spec, examples).items()}
    found.append(tf.saved_model.load(str(path)).signatures["rank"](**inputs)["logit"].numpy())
    return found


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> list[np.ndarray]:
    found = answers(PLAIN, tmp_path_factory.mktemp("plain"))
    assert len(found) == 9 + 9 + 1
    assert np.std(found[0]) > 0.5
    return found


def check(names: Sequence[str], plain: list[np.ndarray], folder: Path) -> None:
    for found, expected in zip(answers(names, folder), plain, strict=True):
        # Sums of floats may be added up in another order.
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def possible(names: Sequence[str]) -> bool:
    try:
        spec_of(names)
    except (ValidationError, ValueError):
        return False
    return True


ANY = st.one_of(st.sampled_from(FIT), st.text(max_size=30).filter(is_fit))


@settings(
    max_examples=2, deadline=None, phases=[Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)  # fmt: skip
@given(names=st.lists(ANY, min_size=7, max_size=7, unique=True))
def test_any_names_give_the_same_answers(names, plain, tmp_path_factory):
    assume(possible(names))
    check(names, plain, tmp_path_factory.mktemp("any"))


@pytest.mark.long
@pytest.mark.parametrize("start", range(0, len(FIT), 7))
def test_every_nasty_name_gives_the_same_answers(start, plain, tmp_path):
    names = [*FIT, *PLAIN][start : start + 7]
    check(names, plain, tmp_path)


def test_counts_of_any_names_come_back(tmp_path):
    columns = [InputColumn(name, "categorical", ("wide",), size=len(FIT)) for name in FIT]
    features = {name: tf.constant([place]) for place, name in enumerate(FIT)}
    seen.write(SimpleNamespace(in_order=lambda _: [(features, None, None)]), columns, str(tmp_path / "Format-Serving"))
    assert {name: int(counts.argmax()) for name, counts in seen.read(str(tmp_path)).items()} == {
        name: place for place, name in enumerate(FIT)
    }
