"""MovieLens-100k: fetched, joined and split."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from schema.dataset import find


def test_all_ratings_are_there(movielens):
    rows = pa.concat_tables(movielens.splits.values())

    assert len(rows) == 100_000
    assert pc.sum(rows["_label"]).as_py() == 55_375  # ratings of 4 and 5
    assert len(pc.unique(rows["user_id"])) == 943
    assert len(pc.unique(rows["item_id"])) == 1_682
    assert set(pc.unique(rows["gender"]).to_pylist()) == {"F", "M"}
    assert len(pc.unique(rows["occupation"])) == 21
    assert len(pc.unique(rows["genres"].combine_chunks().flatten())) == 18
    assert len(pc.unique(rows["weekday"])) == 7
    assert pc.min_max(rows["hour"]).as_py() == {"min": 0, "max": 23}
    assert pc.min_max(rows["age"]).as_py() == {"min": 7, "max": 73}
    assert pc.min_max(rows["year"]).as_py() == {"min": 1922, "max": 1998}


def test_one_rating_by_hand(movielens):
    # 196  242  3  881250949 in the file of ratings; 881250949 s is Thursday, 4 December 1997, 15:55 UTC.
    rows = pa.concat_tables(movielens.splits.values())
    row = rows.filter((pc.field("user_id") == 196) & (pc.field("item_id") == 242)).to_pylist()

    assert row == [
        {
            "user_id": 196,
            "item_id": 242,
            "gender": "M",
            "age": 49.0,
            "occupation": "writer",
            "zip_prefix": "5",
            "genres": ["Comedy"],
            "year": 1996.0,
            "hour": 15,
            "weekday": "Thursday",
            "title": "Kolya",
            "timestamp": 881250949,
            "_label": 0.0,
        }
    ]


def test_no_rating_leaks_from_a_later_split(movielens):
    times = {name: pc.min_max(rows["timestamp"]).as_py() for name, rows in movielens.splits.items()}

    assert times["train"]["max"] < times["eval"]["min"]
    assert times["eval"]["max"] < times["test"]["min"]
    assert [len(movielens.splits[name]) / 100_000 for name in ("train", "eval", "test")] == pytest.approx(
        [0.8, 0.1, 0.1], abs=0.001
    )


def test_strangers_are_in_training_too(movielens):
    """Most later ratings are by people who gave none before: the model must meet unknown people in training."""
    known = {
        row["values"]
        for row in pc.value_counts(movielens.splits["train"]["user_id"].combine_chunks()).to_pylist()
        if row["counts"] >= movielens.dataset.spec.features["user_id"].vocabulary.min_count
    }
    share = {
        name: 1 - pc.mean(pc.is_in(rows["user_id"], pa.array(list(known)))).as_py()
        for name, rows in movielens.splits.items()
    }

    assert share["train"] > 0.1
    assert share["test"] > 0.8


def test_it_is_a_ranking(movielens):
    assert movielens.dataset.spec.ranking.group == "user_id"
    assert movielens.dataset.spec.ranking.item == "item_id"
    assert [cross.name for cross in movielens.dataset.spec.crosses if movielens.dataset.spec.is_multivalent(cross)] == [
        "user_id_x_genres",
        "occupation_x_genres",
        "age_x_genres",
        "gender_x_genres",
    ]


def test_its_schema_holds(movielens, schema_holds):
    schema_holds(movielens)


def test_day_by_day_it_is_the_same_ratings():
    dataset = find("movielens_days")
    days = [pq.read_table(path) for path in dataset.files["all"]]
    times = [pc.divide(day["timestamp"], 24 * 60 * 60) for day in days]

    assert [pc.unique(day).to_pylist() for day in times] == [[span] for span in dataset.window]
    assert [len(days), sum(map(len, days))] == [213, 100_000]
    # On two days nobody rated anything.
    assert dataset.spans.summary() == (
        "213 spans from 1997-09-20 to 1998-04-22; 2 missing between: 1997-12-11, 1997-12-16"
    )
