"""The report on a model's memory, with models whose memory is known."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import ndcg_score, roc_auc_score

from components.evaluation import bootstrap
from components.report import items, memory, ranking, vocabularies, worst
from components.report.model import Looked, Model
from schema.feature_spec import FeatureSpec
from trainer.input_columns import Ids
from trainer.vocabulary import SEPARATOR

SPEC = FeatureSpec.model_validate(
    {
        "label": "y",
        "ranking": {"group": "user", "item": "item", "title": "title"},
        "features": {"item": {}, "tags": {"type": "multivalent"}},
        "crosses": [{"columns": ["item", "tags"], "name": "pair"}],
    }
).resolve({"y": "integer", "user": "string", "item": "string", "title": "string", "tags": "strings"})
ITEMS = [f"i{number}" for number in range(12)]
PAIRS = [SEPARATOR.join(pair) for pair in (("i0", "a"), ("i0", "b"), ("i1", "a"))]


@pytest.fixture
def model():
    """It has seen item n in 10 (12 - n) rows, others in 5, and pairs of i0 often."""
    ids = {
        "item": Ids(ITEMS, 1, True, "item"),
        "tags": Ids(("a", "b"), 1, False, "tags"),
        "pair": Ids(PAIRS, 1, False, "pair"),
    }
    vectors = np.random.default_rng(1).normal(size=(14, 6))
    vectors[7] = vectors[0] * 3 + 0.01  # points where item 0 does
    seen = {
        "item": np.array([*range(120, 0, -10), 5, 0]), "tags": np.array([90, 10, 0]), "pair": np.array([200, 40, 1, 0]),
    }  # fmt: skip
    found = SimpleNamespace(
        ids=ids, seen=seen, history={"train_rows": 1000},
        wide_weights={"pair": np.array([0.1, -0.7, 0.0, 9.0]), "item": np.full(14, 5.0)},
        embeddings=lambda column: vectors,
    )  # fmt: skip
    found.token = lambda column, place: Model.token(found, column, place)
    return found


def test_vocabularies_and_how_many_values_have_no_id_of_their_own(model):
    ids = {"item": np.array([[0], [12], [13], [12]]), "pair": np.array([[0, -1], [3, 0], [-1, -1], [1, 1]])}
    item, tags, pair = vocabularies.vocabularies(model, SPEC, ids)
    assert (item.name, item.tokens, item.buckets, item.possible) == ("item", 12, 1, None)
    assert item.unknown == {"train": 0.005, "test": 0.5}  # a missing value is none of the others
    assert item.frequent == [("i0", 120), ("i1", 110), ("i2", 100)]
    assert tags.unknown == {"train": 0}
    assert (pair.is_cross, pair.tokens, pair.possible, pair.unknown["test"]) == (True, 3, 4, 0.25)
    assert pair.frequent[0] == ("i0 × a", 200)


def test_metrics_by_how_often_a_value_was_seen(model, make_rows):
    rows = make_rows(400, groups=None)
    ids = {"item": np.where(np.arange(400) < 100, 12, np.where(np.arange(400) < 250, 5, 0))[:, np.newaxis]}
    looked = Looked(ids, {}, 0.0)
    found = memory.familiarity(rows, bootstrap.counts(rows), model, SPEC, looked)
    assert [(each.what, each.seen, each.rows) for each in found] == [
        ("item", "not in the vocabulary", 100), ("item", "in up to 99 rows", 150), ("item", "in 100 to 999 rows", 150),
    ]  # fmt: skip
    exact = roc_auc_score(rows.labels[:100], rows.candidate.values[:100], sample_weight=rows.weights[:100])
    assert found[0].metric.estimate.value == pytest.approx(exact)
    assert found[0].metric.change is not None


def test_of_several_values_the_one_that_was_seen_most_counts():
    times = memory._times_seen(np.array([[0, 1], [2, -1], [-1, -1], [1, 3]]), np.array([7, 9, 5, 100]), tokens=3)
    assert times.tolist() == [9, 5, 0, 9]


def test_parts_are_told_by_how_much_they_move_and_how_well_they_order(make_rows):
    rows = make_rows()
    rows.weights[:] = 1
    dice = np.random.default_rng(4)
    looked = Looked({}, {"wide": dice.normal(size=400), "deep": 3 * (rows.labels + 0.001 * dice.normal(size=400))}, 0.0)
    wide, deep = memory.parts(rows, looked)
    assert (wide.name, wide.spread) == ("wide", pytest.approx(1, abs=0.1))
    assert deep.share == pytest.approx(deep.spread / (wide.spread + deep.spread))
    assert deep.metric == 1


def test_the_heaviest_weights_are_of_crosses_that_have_ids_of_their_own(model):
    found = memory.weights(model, SPEC)
    assert [(each.what, each.token, each.weight, each.rows) for each in found] == [
        ("pair", "i0 × b", -0.7, 40), ("pair", "i0 × a", 0.1, 200),
    ]  # fmt: skip


def test_neighbours_are_those_whose_embeddings_point_the_same_way(model):
    neighbours, item_map = items.items(model, SPEC, {"i7": "Seven"})
    assert (neighbours[0].item, neighbours[0].rows) == ("i0", 120)
    assert neighbours[0].near[0] == ("Seven", pytest.approx(1, abs=1e-3))
    assert all(name != "i0" for name, _ in neighbours[0].near)
    assert {place.name for place in item_map.places} == {*ITEMS[:7], "Seven", *ITEMS[8:11]}  # the last was in 10 rows
    assert 0 < item_map.explained < 1


def test_a_model_without_embeddings_of_items_has_no_map(model):
    model.embeddings = lambda column: None
    assert items.items(model, SPEC, {}) == ([], None)


def test_lists_are_judged_by_their_length(make_rows):
    rows = make_rows(600, groups=30)
    rows.columns["item"] = np.array([f"i{place % 50}" for place in range(600)], object)
    found = ranking.ranking(rows, bootstrap.counts(rows), SPEC, lambda shown: np.full(len(shown), 0.25))
    everything, *parts = found.sizes
    assert (everything.name, everything.groups, everything.rows) == ("all", 30, 600)
    assert (sum(size.groups for size in parts), sum(size.rows for size in parts)) == (30, 600)
    lists = bootstrap.of_groups(rows)
    exact = [ndcg_score([rows.labels[own]], [rows.candidate.values[own]], k=10) for own in lists]
    mean = np.average(exact, weights=[rows.weights[own].mean() for own in lists])
    assert everything.metrics["ndcg@10"].value == pytest.approx(mean)
    assert everything.novelty == 2


def test_long_lists_show_only_some_of_their_items(make_rows):
    """Of a list of 3 rows all are shown, of one of 12 rows the first 10; the two have no item in common."""
    rows = dataclasses.replace(make_rows(15), groups=np.repeat([0, 1], [3, 12]))
    rows.columns["item"] = np.array([f"i{place}" for place in range(15)], object)
    everything, short, long = ranking.ranking(rows, bootstrap.counts(rows), SPEC, lambda shown: None).sizes
    assert (everything.coverage, short.coverage, long.coverage) == (13 / 15, 1, 10 / 12)
    assert everything.novelty is None


def test_recall_and_the_place_of_the_first_positive_row():
    labels, scores = np.array([0, 1, 0] + [1] * 11, float), -np.arange(14.0)
    assert ranking.list_recall(labels, scores) == 8 / 12
    assert ranking.list_reciprocal_rank(labels, scores) == 1 / 2
    assert np.isnan(ranking.list_recall(np.zeros(3), scores[:3]))


def test_the_worst_rows_are_of_different_groups(make_rows):
    rows = make_rows(400, groups=20)
    rows.columns["tags"] = np.empty(400, object)
    rows.columns["tags"][:] = [("a", "b")] * 400
    rows.candidate.values[:3] = 1 - rows.labels[:3]
    rows.groups[:3] = [0, 0, 1]
    found = worst.errors(rows, SPEC)
    assert len(found) == 10
    assert [error.loss for error in found] == sorted((error.loss for error in found), reverse=True)
    assert [error.answer for error in found[:2]] == [1 - float(error.label) for error in found[:2]]
    assert found[0].values["tags"] == "a, b"
