"""Both clients ask a model that knows its items, by their ids and without."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import tensorflow as tf

from serving.async_client import AsyncClient
from serving.client import CallError, Client, FeatureError, Ranked, Recommended
from serving.server.options import ServerOptions
from serving.server.server import Server

IDS = [b"a", b"b", b"c"]
"""The catalogue. An item's score is its place times the context's age, and that of an unknown one 3 times it."""


class Ranker(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        places = tf.lookup.KeyValueTensorInitializer(IDS, tf.range(3, dtype=tf.int64))
        self._places = tf.lookup.StaticHashTable(places, 3)

    def rank(self, age: tf.Tensor, book: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probability": age * tf.cast(self._places.lookup(book), tf.float32)}

    def rank_ids(self, age: tf.Tensor, items: tf.Tensor) -> dict[str, tf.Tensor]:
        return {**self.rank(age, items), "known": self._places.lookup(items) < 3}

    def recommend(self, age: tf.Tensor, k: tf.Tensor, exclude: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.control_dependencies([tf.debugging.Assert(k > 0, ["k: expected 1 or more, received", k])]):
            scores = self.rank(age, tf.constant(IDS))["probability"]
        allowed = tf.reduce_all(tf.constant(IDS)[:, tf.newaxis] != exclude, axis=1)
        scores = tf.boolean_mask(scores, allowed)
        scores, places = tf.math.top_k(scores, tf.minimum(k, tf.size(scores)))
        ids = tf.gather(tf.boolean_mask(tf.constant(IDS), allowed), places)
        return {"items": ids, "titles": tf.strings.upper(ids), "probability": scores}


def _save(path: Path, catalogue: bool) -> None:
    model = Ranker()
    age, ids = tf.TensorSpec([None], tf.float32, "age"), tf.TensorSpec([None], tf.string, "book")
    signatures = {"rank": tf.function(model.rank).get_concrete_function(age, ids)}
    if catalogue:
        items, exclude = tf.TensorSpec([None], tf.string, "items"), tf.TensorSpec([None], tf.string, "exclude")
        signatures["rank_ids"] = tf.function(model.rank_ids).get_concrete_function(age, items)
        k = tf.TensorSpec([], tf.int32, "k")
        signatures["recommend"] = tf.function(model.recommend).get_concrete_function(age, k, exclude)
    tf.saved_model.save(model, str(path), signatures=signatures)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("models")
    _save(folder / "1", catalogue=True)
    with Server(ServerOptions("books", str(folder))) as server:
        server.wait_until_available(60)
        yield f"127.0.0.1:{server.port}"


def test_the_best_of_all(target: str) -> None:
    with Client(target, "books") as client:
        assert client.recommend({"age": 2.0}, k=2) == [Recommended("c", 4.0, "C"), Recommended("b", 2.0, "B")]
        assert client.recommend({"age": 2.0}, exclude=["c", "x"]) == [
            Recommended("b", 2.0, "B"),
            Recommended("a", 0.0, "A"),
        ]
        assert client.recommend({"age": 2.0}, exclude=["a", "b", "c"]) == []


@pytest.mark.parametrize("chunk", [None, 2])
def test_by_ids(target: str, chunk: int | None) -> None:
    with Client(target, "books", chunk=chunk) as client:
        assert client.rank({"age": 2.0}, items=["b", "x", "c"]) == [
            Ranked(1, 6.0, known=False),
            Ranked(2, 4.0),
            Ranked(0, 2.0),
        ]
        assert client.rank({"age": 2.0}, items=[]) == []
        assert client.rank({"age": 2.0}, {"book": ["b", "c"]}, k=1) == [Ranked(1, 4.0)]


def test_awaited(target: str) -> None:
    async def ask() -> tuple[list[Recommended], list[Ranked]]:
        async with AsyncClient(target, "books") as client:
            return await client.recommend({"age": 1.0}, 1), await client.rank({"age": 1.0}, items=["a", "b"])

    assert asyncio.run(ask()) == ([Recommended("c", 2.0, "C")], [Ranked(1, 1.0), Ranked(0, 0.0)])


def test_what_does_not_fit(target: str) -> None:
    with Client(target, "books") as client:
        with pytest.raises(FeatureError, match="feature 'aeg': expected one of the model's inputs age"):
            client.recommend({"aeg": 1.0})
        with pytest.raises(FeatureError, match="feature 'exclude', candidate 0: expected string, received int"):
            client.recommend({"age": 1.0}, exclude=[1])
        with pytest.raises(CallError, match="k: expected 1 or more, received"):
            client.recommend({"age": 1.0}, k=0)
        with pytest.raises(ValueError, match="expected candidates or items, received neither"):
            client.rank({"age": 1.0})
        with pytest.raises(ValueError, match="expected candidates or items, received both"):
            client.rank({"age": 1.0}, {"book": ["a"]}, items=["a"])


def test_a_model_that_knows_no_items(tmp_path: Path) -> None:
    _save(tmp_path / "1", catalogue=False)
    with Server(ServerOptions("books", str(tmp_path))) as server:
        server.wait_until_available(60)
        with Client(f"127.0.0.1:{server.port}", "books") as client:
            with pytest.raises(FeatureError, match="version 1: expected a signature 'recommend', received rank"):
                client.recommend({"age": 1.0})
            with pytest.raises(FeatureError, match="version 1: expected a signature 'rank_ids', received rank"):
                client.rank({"age": 1.0}, items=["a"])
