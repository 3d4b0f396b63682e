"""The choice of candidates for a user, and the table of the answer."""

import pytest

from pipeline.live import ranking
from pipeline.live.ranking import RankedItem, RankedList, Ranker
from schema.dataset import find
from serving.client import Ranked, Recommended

DESCRIPTION = """
label: liked
splits: {by: time, column: at}
ranking: {group: user, item: movie, item_columns: [year], title: title}
"""
ROWS = """user,movie,title,year,age,at,liked
ann,1,Alien,1979,30,1,1
bob,2,Brazil,1985,40,2,0
bob,3,Cube,1997,41,3,1
ann,2,Brazil,1985,31,4,1
bob,1,Alien,1979,42,5,0
"""


class RecordingClient:
    """Says that later candidates are better, and keeps what it was asked."""

    knows_items = False

    def __init__(self, target: str, model_name: str, label: str, tls: None) -> None:
        self.model_name = model_name

    def rank(self, context, candidates, k):
        self.asked = (dict(context), {name: list(values) for name, values in candidates.items()})
        count = len(candidates["movie"])
        return [Ranked(index, index / 10) for index in reversed(range(count))][:k]

    def recommends(self):
        return self.knows_items

    def recommend(self, context, k, exclude):
        self.asked = (dict(context), exclude)
        return [Recommended(3, 0.5, "Cube")][:k]

    def close(self) -> None:
        pass


@pytest.fixture
def ranker(tmp_path, monkeypatch):
    (tmp_path / "features.yaml").write_text(DESCRIPTION)
    (tmp_path / "log.csv").write_text(ROWS)
    monkeypatch.setattr(ranking, "Client", RecordingClient)
    with Ranker(find(tmp_path), "nowhere") as ranker:
        yield ranker


def test_what_a_user_has_not_met_is_ranked_with_what_is_known_of_the_user_last(ranker):
    ranked = ranker.rank("ann", 5)
    assert ranker._client.asked == ({"user": "ann", "age": 31}, {"movie": [3], "year": [1997]})
    assert ranked.items == (RankedItem("3", "Cube", 0),)
    assert (ranked.group, ranked.candidates) == ("ann", 1)


def test_a_model_that_knows_the_items_is_only_told_what_the_user_has_met(ranker, monkeypatch):
    monkeypatch.setattr(RecordingClient, "knows_items", True)
    ranked = ranker.rank("ann", 5)
    assert ranker._client.asked == ({"user": "ann", "age": 31}, [1, 2])
    assert ranked == RankedList("ann", 1, (RankedItem("3", "Cube", 0.5),))
    ranker.rank("ann", 5, include_seen=True)
    assert ranker._client.asked[1] == []
    ranker.rank("ann", 5, features=True)
    assert ranker._client.asked == ({"user": "ann", "age": 31}, {"movie": [3], "year": [1997]})


def test_all_items_on_demand(ranker):
    ranked = ranker.rank("ann", 2, include_seen=True)
    assert ranked.candidates == 3
    assert [item.title for item in ranked.items] == ["Cube", "Brazil"]


def test_who_has_met_everything_gets_everything(ranker):
    assert ranker.rank("bob", 5).candidates == 3


def test_the_groups_seen_last(ranker):
    assert ranker.latest_groups(5) == ["bob", "ann"]
    assert ranker.latest_groups(1) == ["bob"]
