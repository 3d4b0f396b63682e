"""`rankline explain` on the model of a run, by its numbers and as a person sees it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def explain(stranger, rankline: Callable) -> Callable:
    where = "--dataset", str(stranger.folder), "--root", str(stranger.root.path)
    return lambda *arguments: rankline("explain", *where, *arguments)


def test_it_adds_up_to_what_is_served(stranger, explain, tmp_path: Path) -> None:
    numbers, page = tmp_path / "numbers.json", tmp_path / "a" / "page.html"
    done = explain("--user", "u1", "--item", "7", "--item", "0", "--json", str(numbers), "--output", str(page))
    assert (done.returncode, done.stderr) == (0, ""), done
    found = json.loads(numbers.read_text())["explanation"]
    assert {item["item"] for item in found["items"]} == {"0", "7"}
    assert [item["place"] for item in found["items"]] == sorted(item["place"] for item in found["items"])
    for item in found["items"]:
        parts = sum(part["logit"] for part in item["parts"])
        assert item["logit"] == pytest.approx(item["bias"] + parts)
        assert 1 / (1 + np.exp(-item["logit"])) == pytest.approx(item["answer"], abs=1e-5)
        for part in item["parts"]:
            own = [each for each in item["contributions"] if each["part"] == part["name"]]
            total = part["baseline"] + sum(each["contribution"] for each in own) + part["gap"]
            assert total == pytest.approx(part["logit"])
        columns = {each["what"] for each in item["contributions"] if each["part"] == "deep"}
        assert columns == {"user", "movie", "tags", "price"}
    assert "[director's cut]" in done.stdout
    assert "logit" in done.stdout
    assert "&#39;s cut]" in page.read_text()


def test_the_best_are_explained_unless_others_are_asked_for(stranger, explain, tmp_path: Path) -> None:
    numbers = tmp_path / "numbers.json"
    run_id = stranger.root.logs()[1].name
    done = explain("--user", "u1", "--top", "2", "--run", run_id, "--json", str(numbers))
    assert done.returncode == 0, done
    found = json.loads(numbers.read_text())
    assert found["run_id"] == run_id
    assert [item["place"] for item in found["explanation"]["items"]] == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--user", "nobody"), "user: expected one of the data's 40, such as"),
        (("--user", "u1", "--item", "77"), "--item: expected one of the data's 30, such as"),
        (("--user", "nobody", "--features"), "user: expected one of the data's 40, such as"),
        (("--user", "u1", "--item", "77", "--features"), "--item: expected one of the data's 30, such as"),
        (("--user", "u1", "--run", "latest"), "stranger: expected one of the runs 2"),
    ],
)
def test_what_is_not_there(explain, arguments: tuple[str, ...], error: str) -> None:
    done = explain(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert error in done.stderr


def test_files_are_read_on_demand_and_tell_what_was_seen(stranger, explain, rankline, tmp_path: Path) -> None:
    places = {}
    for name, options in {"all": (), "unseen": ("--features",)}.items():
        numbers = tmp_path / f"{name}.json"
        done = explain("--user", "u1", "--top", "30", "--json", str(numbers), *options)
        assert (done.returncode, done.stderr) == (0, ""), done
        found = json.loads(numbers.read_text())["explanation"]["items"]
        places[name] = {item["item"]: item["answer"] for item in found}
    files = [(stranger.folder / day).read_text() for day in ("day1.csv", "day2.csv")]
    rows = [line.split(",") for text in files for line in text.splitlines()]
    seen = {row[1] for row in rows if row[0] == "u1"}
    assert len(places["all"]) == 30
    assert set(places["unseen"]) == set(places["all"]) - seen
    for item, answer in places["unseen"].items():
        assert places["all"][item] == pytest.approx(answer, abs=1e-6)
    # By its name alone, the dataset need not be here.
    done = rankline("explain", "--dataset", "stranger", "--root", str(stranger.root.path), "--user", "u1")
    assert (done.returncode, done.stderr) == (0, ""), done


def test_a_description_that_has_changed_since(stranger, rankline: Callable, tmp_path: Path) -> None:
    fewer = stranger.description.replace("tags, price]", "tags]").replace(
        "  price: {type: numeric, max_missing: 0.5}\n", ""
    )
    changed = stranger.copy(tmp_path / "changed", f"{fewer}ignore: [price]\n")
    done = rankline(
        "explain", "--dataset", str(changed), "--root", str(stranger.root.path), "--user", "u1", "--features"
    )
    assert done.returncode == 1
    assert "features.yaml: expected the features that the model of run" in done.stderr
