"""The latest row of each item and of each group, however the rows come."""

import numpy as np
import pyarrow as pa
import pytest

from schema.feature_spec import FeatureSpec
from schema.identity import TIME
from schema.latest import LatestRows, latest_contexts, latest_items

SPEC = FeatureSpec.model_validate(
    {"label": "y", "ranking": {"group": "user", "item": "movie", "item_columns": ["tags"], "title": "title"}}
).resolve({"y": "integer", "user": "string", "movie": "integer", "tags": "strings", "title": "string", "age": "float"})


def batch(*rows: tuple) -> pa.RecordBatch:
    """Rows of user, movie, tags, title and, optionally, a time."""
    names = ("user", "movie", "tags", "title", TIME)[: len(rows[0])]
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    types = {"tags": pa.list_(pa.string()), "movie": pa.int64(), TIME: pa.float64()}
    return pa.RecordBatch.from_pydict(
        {name: pa.array(values, types.get(name, pa.string())) for name, values in columns.items()}
    )


FIRST = batch(("ann", 9, ["a"], "Nine"), ("ann", 7, [], "Seven"), ("bob", 7, ["b", "c"], "Seven!"))
SECOND = batch(("bob", 9, None, "9"), (None, 7, ["x"], "nobody's"), ("ann", None, ["x"], "nothing"))
EXPECTED = [{"movie": 7, "tags": ["b", "c"], "title": "Seven!"}, {"movie": 9, "tags": None, "title": "9"}]


def gathered(part: int, *batches: pa.RecordBatch) -> LatestRows:
    items = latest_items(SPEC, part)
    for each in batches:
        items.add(each)
    return items


def test_the_last_row_that_has_a_group_and_an_item() -> None:
    assert gathered(0, FIRST, SECOND).table().to_pylist() == EXPECTED


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_parts_come_in_any_order(order: tuple[int, int]) -> None:
    parts = [gathered(0, FIRST), gathered(1, SECOND)]
    first, second = (parts[place] for place in order)
    first.merge(second)
    assert first.table().to_pylist() == EXPECTED


def test_time_goes_before_order() -> None:
    late, early = batch(("ann", 7, ["late"], "Late", 5.0)), batch(("ann", 7, ["early"], "Early", -5.0))
    for parts in ((late, early), (early, late)):
        first, second = (gathered(part, each) for part, each in enumerate(parts))
        first.merge(second)
        assert first.table()["title"].to_pylist() == ["Late"]


def test_no_more_than_some_rows_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schema.latest._ROWS_HELD", 10)
    dice = np.random.default_rng(0)
    items, latest = latest_items(SPEC, 0), {}
    for _ in range(40):
        movies = dice.integers(0, 6, 5).tolist()
        rows = [("ann", movie, [], str(dice.integers(1000))) for movie in movies]
        latest |= {movie: title for _, movie, _, title in rows}
        items.add(batch(*rows))
        assert sum(map(len, items._held)) <= 40
    assert dict(zip(*items.table().select(["movie", "title"]).to_pydict().values(), strict=True)) == latest


WITH_USERS = FeatureSpec.model_validate(
    {
        "label": "y",
        "ranking": {"group": "user", "item": "movie", "item_columns": ["tags"]},
        "features": {"user": {"type": "categorical"}, "age": {"type": "numeric"}, "tags": {"type": "multivalent"}},
    }
).resolve({"y": "integer", "user": "string", "movie": "integer", "tags": "strings", "age": "float"})


def of_users(*rows: tuple) -> pa.RecordBatch:
    """Rows of user, movie and age."""
    users, movies, ages = zip(*rows, strict=True)
    columns = {"user": pa.array(users), "movie": pa.array(movies, pa.int64()), "age": pa.array(ages, pa.float32())}
    return pa.RecordBatch.from_pydict({**columns, "tags": pa.array([[]] * len(rows), pa.list_(pa.string()))})


def contexts(most: int, part: int, *rows: tuple) -> LatestRows:
    found = latest_contexts(WITH_USERS, part, most)
    found.add(of_users(*rows))
    return found


def test_the_latest_context_of_each_group() -> None:
    found = contexts(2, 0, ("bob", 1, 30.0), ("ann", 2, 20.0), ("bob", 3, 31.0), ("ann", 4, None), ("eve", None, 1.0))
    assert found.table().to_pylist() == [{"user": "ann", "age": None}, {"user": "bob", "age": 31.0}]


@pytest.mark.parametrize("most", [0, 2])
def test_of_too_many_groups_no_context_is_kept(most: int) -> None:
    first, second = contexts(most, 0, ("bob", 1, 30.0), ("ann", 2, 20.0)), contexts(most, 1, ("eve", 1, 40.0))
    first.merge(second)
    assert first.table() is None
    first.merge(contexts(most, 2, ("bob", 1, 50.0)))
    assert first.table() is None


def test_a_group_that_the_model_does_not_see_has_no_context() -> None:
    spec = FeatureSpec.model_validate(
        {**WITH_USERS.model_dump(include={"ranking"}), "label": "y", "ignore": ["user"]}
    ).resolve({"y": "integer", "user": "string", "movie": "integer", "tags": "strings", "age": "float"})
    found = latest_contexts(spec, 0, 10)
    found.add(of_users(("bob", 1, 30.0)))
    assert found.table() is None


def test_no_rows_have_no_latest() -> None:
    first = latest_items(SPEC, 0)
    first.merge(latest_items(SPEC, 1))
    assert first.table() is None
