"""A dataset with the nastiest possible names of columns, in all roles, through every command."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from serving.server import Server, ServerOptions
from tests.names import FIT

pytestmark = pytest.mark.long

GROUP, ITEM, TITLE, CITY, DEVICE = "examples", "inputs", "<script>alert(1)</script>", "a = b", "a,b"
LABEL, WEIGHT = "labels", "example_weights"
ROWS, TIMEOUT_S = 1200, 60


def _columns() -> tuple[dict[str, list], dict[str, dict]]:
    """All columns, and the features that are made of those without another role."""
    dice = np.random.default_rng(5)
    item = dice.integers(20, size=ROWS)
    columns = {
        GROUP: [f"u{user}" for user in dice.integers(30, size=ROWS)],
        ITEM: [f"i{each}" for each in item],
        TITLE: [f"<blink>Item</blink> {each}" for each in item],
        CITY: dice.choice(["Oslo", "Rome, Via = 3"], ROWS).tolist(),
        DEVICE: dice.choice(["phone", "tv"], ROWS).tolist(),
        LABEL: (dice.random(ROWS) < 0.2 + 0.6 * (item % 2)).astype(int).tolist(),
        WEIGHT: dice.choice([1.0, 2.0], ROWS).tolist(),
    }
    features: dict[str, dict] = {}
    for place, name in enumerate(name for name in FIT if name not in columns):
        match place % 4:
            case 0:
                columns[name], features[name] = dice.choice(list("abc"), ROWS).tolist(), {}
            case 1:
                columns[name] = [["k", "l", "m"][: 1 + count] for count in dice.integers(3, size=ROWS)]
                features[name] = {"type": "multivalent"}
            case 2:
                columns[name] = dice.random(ROWS).tolist()
                features[name] = {"type": "numeric", "buckets": 3}
            case 3:
                columns[name] = dice.random(ROWS).tolist()
                features[name] = {"type": "numeric", "missing_indicator": True}
    return columns, features


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    columns, features = _columns()
    one, two, three = list(features)[:3]
    folder = tmp_path_factory.mktemp("names") / "nasty {0}"
    folder.mkdir()
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    described = {
        "name": "nasty {0}",
        "label": LABEL,
        "weight": WEIGHT,
        "ranking": {"group": GROUP, "item": ITEM, "title": TITLE, "item_columns": [TITLE, one, two, three]},
        "features": features,
        "crosses": [
            {"columns": [GROUP, one]},
            {"columns": [ITEM, three], "name": "$ % {0} $"},
            {"columns": [DEVICE, two], "name": "probability x logit"},
        ],
        "slices": [CITY, [DEVICE, CITY]],
    }
    (folder / "features.yaml").write_text(yaml.safe_dump(described, allow_unicode=True), encoding="utf-8")
    return folder


class _Tags(HTMLParser):
    """The names of a page's elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.found.add(tag)


def test_every_command_takes_every_name(folder, tmp_path, rankline):
    root = tmp_path / "runs {0}"
    described = ("--dataset", str(folder))
    slices = "{'a = b = Rome, Via = 3': {min: 0}, 'a,b = tv, a = b': {min: 0}}"
    settings = ("train.epochs=1", f"thresholds={{auc: {{min: 0, slices: {slices}}}, logloss: null}}")

    done = rankline("validate", *described)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    done = rankline(
        "run",
        *described,
        "--root",
        str(root),
        "--no-serve",
        *(part for setting in settings for part in ("--set", setting)),
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    serving = root / "nasty {0}" / "serving"
    assert len(list(serving.iterdir())) == 1

    with Server(ServerOptions("nasty {0}", str(serving))) as server:
        server.wait_until_available(TIMEOUT_S)
        done = rankline("rank", *described, "--user", "u3", "--target", f"127.0.0.1:{server.port}")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.count("<blink>Item</blink> ") == 10

    pages = {"explained": tmp_path / "explained.html"}
    done = rankline("explain", *described, "--root", str(root), "--user", "u3", "--output", str(pages["explained"]))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    (report,) = (root / "nasty {0}" / "artifacts" / "Report" / "report").glob("*/report.html")
    pages["report"] = report
    for page in pages.values():
        assert not {"blink"} & _Tags(page.read_text()).found
        assert "alert(1)</script>" not in page.read_text()
    told = json.loads(report.with_name("report.json").read_text())
    assert {column["name"] for column in told["columns"]} == {*_columns()[0]} - {LABEL, WEIGHT}
    assert {each["name"] for each in told["slices"]} >= {"a = b = Oslo", "a,b = tv, a = b = Rome, Via = 3"}

    pods = "kubeflow={image: r/rankline:1, root: /mnt/runs, volumes: [{claim: c, path: /mnt}]}"
    done = rankline("compile", *described, "--set", pods, "--output", str(tmp_path / "package.yaml"))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
