"""`rankline refresh`: a new item is recommended by a model that was not trained on it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.metadata import Sqlite
from pipeline.run.history import list_runs, origin_of, trained
from pipeline.run.metadata import connection
from serving.client import Client
from serving.server import Server, ServerOptions
from tests.e2e.conftest import RANKLINE, STRANGER, TIMEOUT_S

DAY_3 = "user,movie,title,tags,price,stars\nnewcomer,77,The new one,drama|comedy|war,4.50,5\n"


@pytest.fixture(scope="module")
def refreshed(stranger, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a refresh with a third day, which knows the stranger's runs."""
    base = tmp_path_factory.mktemp("refresh")
    root = base / "runs"
    root.mkdir()
    shutil.copy(stranger.root.path / "metadata.sqlite", root)
    folder = stranger.copy(base / "their data", day3_csv=DAY_3)
    command = [RANKLINE, "refresh", "--dataset", str(folder), "--root", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "items: 31 by their ids" in done.stdout
    assert "contexts: 41 by their ids" in done.stdout
    return root


def test_the_new_item_is_known_and_nothing_else_has_changed(stranger, refreshed: Path) -> None:
    (new,) = (refreshed / "stranger" / "serving").iterdir()
    answers = {}
    for name, serving in {"before": stranger.root.serving, "after": new.parent}.items():
        with Server(ServerOptions("stranger", str(serving))) as server:
            server.wait_until_available(60)
            with Client(f"127.0.0.1:{server.port}", "stranger") as client:
                best = client.recommend({"user": "u1"}, 31)
                answers[name] = {entry.item: entry.score for entry in best}
                newcomer = client.rank({"user": "newcomer"}, items=[77, 3])
                known = {entry.index: entry.known for entry in newcomer}
                assert known == {0: name == "after", 1: True}
    assert set(answers["after"]) == {*answers["before"], 77}
    assert len(answers["before"]) == 30
    # The third day is no news of the others.
    for item, score in answers["before"].items():
        assert answers["after"][item] == pytest.approx(score, abs=1e-6)
    assert np.ptp(list(answers["after"].values())) > 0.1


def test_the_lineage_says_which_model(stranger, refreshed: Path) -> None:
    store = connection(Sqlite(), refreshed / "metadata.sqlite")
    (version,) = (int(folder.name) for folder in (refreshed / "stranger" / "serving").iterdir())
    latest, *_ = list_runs(store)
    assert (latest.model, latest.pushed_version, latest.blessed) == ("refreshed wide_deep", str(version), None)
    # What was trained and judged is the same as before.
    trained_version = int(*stranger.root.versions())
    assert origin_of(store, "stranger", version).metrics == origin_of(store, "stranger", trained_version).metrics
    assert trained(store, "stranger", None).run_id == stranger.root.logs()[-1].name


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (STRANGER.replace("price: {type: numeric", "price: {type: numeric, log1p: true"), "received others of price"),
        (STRANGER + "crosses: [{columns: [user, tags]}]\n", "received others of crosses"),
    ],
)
def test_another_description_wants_another_model(stranger, tmp_path: Path, rankline, description, message) -> None:
    shutil.copy(stranger.root.path / "metadata.sqlite", tmp_path)
    folder = stranger.copy(tmp_path / "their data", description)
    done = rankline("refresh", "--dataset", str(folder), "--root", str(tmp_path))
    assert done.returncode == 1
    assert "refresh: expected the columns and features that the model was trained with, " + message in done.stderr
    assert not (tmp_path / "stranger" / "serving").exists()


def test_there_is_no_model_yet(stranger, tmp_path: Path, rankline) -> None:
    folder = stranger.copy(tmp_path / "their data")
    done = rankline("refresh", "--dataset", str(folder), "--root", str(tmp_path / "runs"))
    assert done.returncode == 1
    assert "expected a model that was blessed, found none; run `rankline run`" in done.stderr
