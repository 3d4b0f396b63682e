"""Items that are known by their ids get the answers that they get by their columns, with crosses of all kinds."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam

from schema.feature_spec import LABEL, FeatureSpec
from trainer import item_catalogue, models
from trainer.export import ServedModel
from trainer.heads import Logistic
from trainer.input_columns import ids_of, input_columns
from trainer.item_table import ItemTable
from trainer.params import TrainParams
from trainer.preprocessing import preprocessing_fn
from trainer.raw_columns import raw_columns
from trainer.vocabulary import SEPARATOR

COLUMNS = {
    "user": "integer",
    "age": "float",
    "place": "string",
    "liked": "strings",
    "movie": "integer",
    "genres": "strings",
    "moods": "strings",
    "price": "float",
}
ITEM = ("movie", "genres", "moods", "price")
INDEXED = [
    {"columns": ["user", "genres"]},
    {"columns": ["place", "genres", "price"]},
    {"columns": ["liked", "genres"], "combiner": "sqrtn", "parts": ["wide", "deep"]},
    {"columns": ["genres", "place", "moods"], "combiner": "mean"},
    {"columns": ["age", "movie"], "vocabulary": {"min_count": 3}, "parts": ["wide", "deep"]},
    {"columns": ["price", "age"]},
    {"columns": ["user", "age"]},
]
"""An item column alone and with another, both multi-valent or neither, behind the context's and around it."""
OTHERS = [
    {"columns": ["user", "movie"], "hash_buckets": 20},
    {"columns": ["place", "genres"], "vocabulary": {"min_count": 9}, "oov_buckets": 3},
]
"""Crosses whose unknown tokens get ids by their texts."""
ITEMS = 24
MODELS = {"wide_deep": {"hidden_units": (8,)}, "dcn_v2": {"hidden_units": (8,)}, "deepfm": {"hidden_units": (8,)}}


def spec_of(crosses: Sequence[Mapping[str, object]]) -> FeatureSpec:
    return FeatureSpec.model_validate(
        {
            "label": "label",
            "ranking": {"group": "user", "item": "movie", "item_columns": ["genres", "moods", "price"]},
            "features": {
                "user": {},
                "age": {"type": "numeric", "buckets": 3},
                "place": {},
                "liked": {"type": "multivalent"},
                "movie": {"type": "categorical", "vocabulary": {"min_count": 3}},
                "genres": {"type": "multivalent"},
                "moods": {"type": "multivalent"},
                "price": {"type": "numeric", "buckets": 3},
            },
            "crosses": crosses,
        }
    ).resolve({"label": "float", **COLUMNS})


def _some(dice: np.random.Generator, *words: str) -> list[str]:
    return [word for word in words if dice.random() < 0.4]


def _items(odd: str) -> list[dict]:
    dice = np.random.default_rng(0)
    items = [
        {
            "movie": movie,
            "genres": _some(dice, "war", "drama", odd),
            "moods": _some(dice, "sad", "dark"),
            "price": float(movie % 4) if movie % 5 else np.nan,
        }
        for movie in range(ITEMS)
    ]
    # Nothing like the last was ever seen.
    return [*items[:-1], {"movie": 1000, "genres": ["musical", "war"], "moods": ["odd"], "price": 0.0}]


def _rows(items: Sequence[dict]) -> list[dict]:
    dice = np.random.default_rng(1)
    rows = []
    for _ in range(300):
        item = items[int(dice.integers(ITEMS - 1))]
        context = {
            "user": int(dice.integers(5)),
            "age": float(dice.integers(20, 60)) if dice.random() < 0.9 else np.nan,
            "place": str(dice.choice(["north", "south", ""])),
            "liked": _some(dice, "war", "drama", "fun"),
        }
        rows.append({**context, **item, LABEL: float(dice.random() < 0.5)})
    return rows


def _plain(rows: Sequence[dict], names: Sequence[str]) -> dict[str, np.ndarray]:
    """The inputs of `rank`."""
    columns = {}
    for name in names:
        values = [row[name] for row in rows]
        if COLUMNS[name] == "strings":
            length = max(len(value) for value in values)
            columns[name] = np.array([value + [""] * (length - len(value)) for value in values], object)
            columns[name] = columns[name].reshape(len(rows), length)
        else:
            dtype = {"integer": np.int64, "float": np.float32, "string": object}[COLUMNS[name]]
            columns[name] = np.array(values, dtype)
    return columns


class Case:
    """A dataset that went through Transform, whose items all differ."""

    def __init__(self, folder: Path, crosses: Sequence[Mapping[str, object]], odd: str = "fun") -> None:
        self.spec = spec_of(crosses)
        self.items = _items(odd)
        self.rows = _rows(self.items)
        raw = {
            name: tf.io.VarLenFeature(column.dtype) if column.multivalent else tf.io.FixedLenFeature([], column.dtype)
            for name, column in raw_columns(self.spec).items()
        }
        metadata = tft.DatasetMetadata.from_feature_spec({**raw, LABEL: tf.io.FixedLenFeature([], tf.float32)})
        transform = functools.partial(preprocessing_fn, custom_config={"spec": self.spec.model_dump_json()})
        with tft_beam.Context(temp_dir=str(folder / "tmp")):
            graph = (self.rows, metadata) | tft_beam.AnalyzeDataset(transform)
            _ = graph | tft_beam.WriteTransformFn(str(folder / "graph"))
        self.transform_output = tft.TFTransformOutput(str(folder / "graph"))

    def served(self, model: str) -> ServedModel:
        """A model with random weights everywhere."""
        columns = input_columns(self.spec, ids_of(self.spec, self.transform_output))
        keras.utils.set_random_seed(0)
        made = models.build(columns, TrainParams(model=model, **MODELS[model]), 1)
        for index, variable in enumerate(made.trainable_variables):
            variable.assign(0.3 * tf.random.stateless_normal(variable.shape, seed=[0, index]))
        table = ItemTable(_plain(self.items, ITEM))
        return ServedModel(made, Logistic(), self.spec, self.transform_output, table)

    def contexts(self) -> list[dict[str, np.ndarray]]:
        """Some that were seen in training, and one that is all new and lacks values."""
        new = {"user": 77, "age": np.nan, "place": "west", "liked": []}
        names = [name for name in COLUMNS if name not in ITEM]
        return [_plain([row], names) for row in (*self.rows[:6], new)]


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(tmp_path_factory.mktemp("indexed"), INDEXED)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(tmp_path_factory.mktemp("mixed"), [*INDEXED, *OTHERS])


@pytest.fixture(scope="module")
def ambiguous(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """One genre contains what is between the parts of a token."""
    return Case(tmp_path_factory.mktemp("ambiguous"), INDEXED, odd=f"fun{SEPARATOR}war")


def assert_equal_answers(case: Case, served: ServedModel) -> None:
    table = _plain(case.items, ITEM)
    stand_in = item_catalogue._NO_ID[tf.int64]
    unknown = _plain([{"movie": stand_in, "genres": [], "moods": [], "price": np.nan}], ITEM)
    places = [3, 0, ITEMS - 1, 3, 8]
    for context in case.contexts():
        by_column = served.rank(as_tensors({**context, **table}))["logit"].numpy()
        assert np.ptp(by_column) > 0.5
        asked = {**context, "items": np.array([*table["movie"][places], -5])}
        by_id = served.rank_ids(as_tensors(asked))["logit"].numpy()
        np.testing.assert_allclose(by_id[:-1], by_column[places], atol=1e-5, rtol=1e-5)
        of_unknown = served.rank(as_tensors({**context, **unknown}))["logit"].numpy()
        np.testing.assert_allclose(by_id[-1:], of_unknown, atol=1e-5, rtol=1e-5)

        best = served.recommend(as_tensors({**context, "k": np.int32(ITEMS), "exclude": np.zeros(0, np.int64)}))
        found = dict(zip(best["items"].numpy(), best["logit"].numpy(), strict=True))
        np.testing.assert_allclose([found[movie] for movie in table["movie"]], by_column, atol=1e-5, rtol=1e-5)


def as_tensors(columns: Mapping[str, np.ndarray]) -> dict[str, tf.Tensor]:
    return {name: tf.constant(values) for name, values in columns.items()}


@pytest.mark.parametrize("at_once", [16_384, 7])
@pytest.mark.parametrize("model", list(MODELS))
@pytest.mark.parametrize("crosses", ["indexed", "mixed"])
def test_known_items_are_rows(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, crosses: str, model: str, at_once: int
) -> None:
    """Be they computed in one piece or in several."""
    monkeypatch.setattr(item_catalogue, "_ROWS_AT_ONCE", at_once)
    case = request.getfixturevalue(crosses)
    assert_equal_answers(case, case.served(model))


def test_tokens_that_cannot_be_parted(ambiguous: Case) -> None:
    served = ambiguous.served("wide_deep")
    indexed = {name for rows in served.items._index.rows for name in rows.crosses}
    assert "user_x_genres" not in indexed
    assert "age_x_movie" in indexed
    assert_equal_answers(ambiguous, served)


def test_rows_with_a_context_each(indexed: Case) -> None:
    served = indexed.served("wide_deep")
    rows = indexed.rows[:20]
    contexts = _plain(rows, [name for name in COLUMNS if name not in ITEM])
    by_id = served.rank_ids(as_tensors({**contexts, "items": np.array([row["movie"] for row in rows])}))
    by_column = served.rank(as_tensors(_plain(rows, list(COLUMNS))))
    np.testing.assert_allclose(by_id["logit"], by_column["logit"], atol=1e-5, rtol=1e-5)


def test_no_text_of_an_item_is_joined(indexed: Case, mixed: Case) -> None:
    """What a request costs does not grow with the items' texts, unless a cross needs them."""
    assert not indexed.served("wide_deep").items._crossed_names
    assert mixed.served("wide_deep").items._crossed_names


def test_what_no_token_has_shares_a_row(indexed: Case) -> None:
    index = indexed.served("wide_deep").items._index
    by_cross = {name: rows for rows in index.rows for name in rows.crosses}
    assert by_cross["price_x_age"].numbers.shape[0] <= 5
    assert by_cross["price_x_age"].of_item.shape == (ITEMS + 1,)
    assert by_cross["age_x_movie"].numbers.shape[0] < ITEMS


def test_it_is_saved(indexed: Case, tmp_path: Path) -> None:
    served = indexed.served("wide_deep")
    served.save(str(tmp_path / "model"))
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    context = indexed.contexts()[0]
    asked = as_tensors({**context, "k": np.int32(5), "exclude": np.zeros(0, np.int64)})
    np.testing.assert_allclose(
        loaded.signatures["recommend"](**asked)["logit"], served.recommend(asked)["logit"], atol=1e-6
    )


def test_what_is_read_as_a_whole_is_not_gathered_from(indexed: Case) -> None:
    """TensorFlow would copy it in each request from then on."""
    served = indexed.served("wide_deep")
    asked = as_tensors({**indexed.contexts()[0], "items": np.array([1])})
    graph = tf.function(served.rank_ids).get_concrete_function(asked).graph
    gathered_from = {op.inputs[0].ref() for op in graph.get_operations() if op.type == "ResourceGather"}
    variables = [variable.handle for variable in served.items.variables]
    handles = {inner.ref() for outer, inner in graph.captures if any(outer is handle for handle in variables)}
    assert handles
    assert not gathered_from & handles
