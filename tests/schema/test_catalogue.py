"""Items and groups as their latest rows describe them, and the items that each group has seen."""

import pytest

from schema.catalogue import catalogue
from schema.dataset import find
from schema.errors import DataError, RanklineError, SpecError

RANKING = "ranking: {group: user, item: movie, item_columns: [genres, year], title: title}"
CSV = """y,user,movie,genres,year,title,age,mood,at
1,ann,7,Drama|War,1990,Seven,30,sad,1
0,bob,8,Comedy,1980,Eight,,gay,5
1,ann,8,Comedy,1981,Eight!,31,,3
0,ann,7,Drama,1991,Seven!,32,mad,2
1,,7,Drama,1999,Nobody's,33,mad,9
"""
GENRES = "{label: y, %s, features: {genres: {type: multivalent, separator: '|'}, movie: categorical}, %s}"


def test_the_latest_row_by_time(make_folder):
    folder = make_folder(GENRES % (RANKING, "splits: {by: time, column: at}"), {"a.csv": CSV})
    found = catalogue(find(folder))

    assert found.items.to_pylist() == [
        {"movie": 7, "genres": ["Drama"], "year": 1991.0, "title": "Seven!"},
        {"movie": 8, "genres": ["Comedy"], "year": 1980.0, "title": "Eight"},
    ]
    assert found.groups.to_pylist() == ["ann", "bob"]  # bob's last row is the latest
    assert set(found.contexts.column_names) == {"user", "age", "mood"}
    assert found.context("ann") == {"user": "ann", "age": 31.0, "mood": None}
    assert found.context("bob") == {"user": "bob", "age": None, "mood": "gay"}
    assert found.seen("ann")["movie"].to_pylist() == [7, 8]
    assert found.unseen("ann")["movie"].to_pylist() == []
    assert found.seen("bob")["movie"].to_pylist() == [8]
    assert found.unseen("bob").to_pylist() == [{"movie": 7, "genres": ["Drama"], "year": 1991.0, "title": "Seven!"}]


def test_the_latest_row_by_order(make_folder):
    folder = make_folder(GENRES % (RANKING, "ignore: [at]"), {"a.csv": CSV, "b.csv": CSV.replace("Eight!", "8")})
    found = catalogue(find(folder))

    assert found.items["title"].to_pylist() == ["Seven!", "8"]
    assert found.context("ann") == {"user": "ann", "age": 32.0, "mood": "mad"}


def test_nothing_to_rank_and_nobody_to_rank_for(make_folder):
    folder = make_folder(GENRES % (RANKING, "ignore: [at]"), {"a.csv": CSV})
    with pytest.raises(RanklineError) as caught:
        catalogue(find(folder)).context("anna")
    assert str(caught.value) == "user: expected one of the data's 2, such as bob, ann, received 'anna'"
    (folder / "a.csv").write_text(CSV.replace("ann", "").replace("bob", ""))
    with pytest.raises(DataError) as caught:
        catalogue(find(folder))
    assert str(caught.value) == (
        f"{folder}: user, movie: expected a row with a value of both, the ranking's group and item, received none; "
        "there is no list to rank"
    )

    (folder / "features.yaml").write_text("label: y", encoding="utf-8")
    with pytest.raises(SpecError, match=r"features\.yaml: ranking: expected a group and an item, received none"):
        catalogue(find(folder))


def test_movielens():
    found = catalogue(find("movielens"))

    assert len(found.items) == 1682
    assert len(found.contexts) == 943
    assert found.items.column_names == ["item_id", "title", "genres", "year"]
    assert set(found.contexts.column_names) == {
        "user_id", "gender", "age", "occupation", "zip_prefix", "hour", "weekday"
    }  # fmt: skip
    assert found.context(196) == found.context("196")
    assert found.context(196)["occupation"] == "writer"
    assert len(found.seen(196)) == 39  # lines of the file of ratings that begin with 196
    assert len(found.unseen(196)) == 1682 - 39
    assert 242 in found.seen(196)["item_id"].to_pylist()
