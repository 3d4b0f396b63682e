"""A model that answers otherwise about ids of items than about their columns is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.served_answers import InfraCheckError, check_items
from schema.feature_spec import FeatureSpec
from serving.server.options import ServerOptions
from serving.server.server import Server
from trainer.item_table import ItemTable

SPEC = FeatureSpec.model_validate(
    {"label": "y", "ranking": {"group": "user", "item": "book", "item_columns": ["price"]}}
).resolve({"y": "integer", "user": "integer", "book": "string", "price": "float"})
IDS = [f"b{place}" for place in range(5)]
PRICES = np.array([3.0, 1.0, 5.0, 2.0, 4.0], np.float32)
ITEMS = ItemTable({"book": np.array(IDS, object), "price": PRICES})
EXAMPLE = tf.train.Example(
    features=tf.train.Features(feature={"user": tf.train.Feature(int64_list=tf.train.Int64List(value=[2]))})
).SerializeToString()


class Ranker(tf.Module):
    """An item's probability is its price times a tenth, for any user, unless a fault is built in."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self._fault = fault
        places = tf.lookup.KeyValueTensorInitializer(IDS, tf.range(len(IDS)))
        self._places = tf.lookup.StaticHashTable(places, -1)

    def rank(self, user: tf.Tensor, book: tf.Tensor, price: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probability": price / 10 + 0 * tf.cast(user, tf.float32)}

    def rank_ids(self, user: tf.Tensor, items: tf.Tensor) -> dict[str, tf.Tensor]:
        places = self._places.lookup(items)
        prices = tf.gather(PRICES, places) + (0.01 * tf.cast(places == 3, tf.float32) if self._fault == "score" else 0)
        known = places != 3 if self._fault == "unknown" else places >= 0
        return {"probability": prices / 10, "known": known}

    def recommend(self, user: tf.Tensor, k: tf.Tensor, exclude: tf.Tensor) -> dict[str, tf.Tensor]:
        prices = PRICES[:4] if self._fault == "left out" else PRICES
        scores, places = tf.math.top_k(prices / 10, tf.minimum(k, len(prices)))
        if self._fault == "order":
            scores, places = scores[::-1], places[::-1]
        if self._fault == "best":
            scores += 0.1
        return {"items": tf.gather(IDS, places), "probability": scores}


@pytest.fixture
def compared(tmp_path: Path) -> Callable[[str], int]:
    """Checks a model with a fault."""

    def check(fault: str) -> int:
        model, path = Ranker(fault), tmp_path / "1"
        user, book = tf.TensorSpec([None], tf.int64, "user"), tf.TensorSpec([None], tf.string, "book")
        price, items = tf.TensorSpec([None], tf.float32, "price"), tf.TensorSpec([None], tf.string, "items")
        k, exclude = tf.TensorSpec([], tf.int32, "k"), tf.TensorSpec([None], tf.string, "exclude")
        signatures = {"rank": tf.function(model.rank).get_concrete_function(user, book, price)}
        if fault != "no items":
            signatures["rank_ids"] = tf.function(model.rank_ids).get_concrete_function(user, items)
            signatures["recommend"] = tf.function(model.recommend).get_concrete_function(user, k, exclude)
        tf.saved_model.save(model, str(path), signatures=signatures)
        with Server(ServerOptions("books", str(tmp_path))) as server:
            server.wait_until_available(60)
            return check_items(f"127.0.0.1:{server.port}", "books", str(path), EXAMPLE, SPEC, ITEMS)

    return check


@pytest.mark.parametrize(("fault", "items"), [("", 5), ("no items", 0)])
def test_all_items_are_compared(compared: Callable[[str], int], fault: str, items: int) -> None:
    assert compared(fault) == items


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("score", "expected the answers of rank to 1e-05, received rank_ids: probability 0.201 instead of 0.2 "),
        ("unknown", "expected rank_ids to know all items, received some as unknown"),
        ("left out", "expected recommend to give the best items in order, received others"),
        ("order", "expected recommend to give the best items in order, received others"),
        ("best", "expected the answers of rank to 1e-05, received recommend 0.6 instead of 0.5 for item b'b2'"),
    ],
)  # fmt: skip
def test_another_answer_is_refused(compared: Callable[[str], int], fault: str, message: str) -> None:
    with pytest.raises(InfraCheckError, match=f"^infra check: {message}"):
        compared(fault)
