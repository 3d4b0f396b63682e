"""Rows of 40, 400 and 1,200 columns of all types, from their files to rankings over gRPC."""

from __future__ import annotations

import csv
import subprocess
from pathlib import Path

import numpy as np
import pytest

from serving.client import Client
from serving.server import Server, ServerOptions
from tests.e2e.conftest import RANKLINE

ROWS = 1500
ITEMS = 30
TIMEOUT_S = 1800
SETTINGS = ("train.epochs=1", "train.batch_size=128", "thresholds=null", "limits.candidates=1000")


def values(dice: np.random.Generator, column: int) -> str:
    match column % 4:
        case 0:
            return "abcdefgh"[dice.integers(8)]
        case 1:
            return f"{dice.random():.3f}"
        case 2:
            return str(dice.integers(1000))
    return "|".join(sorted({"pqrstu"[n] for n in dice.integers(6, size=2)}))


@pytest.fixture(params=[40, 400, 1200])
def columns(request, tmp_path) -> list[str]:
    """Writes a dataset `wide`; gives the names of its columns but for group, item and label."""
    dice = np.random.default_rng(1)
    folder = tmp_path / "wide"
    folder.mkdir()
    names = [f"c{n}" for n in range(request.param)]
    with (folder / "rows.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["user", "item", "clicked", *names])
        for _ in range(ROWS):
            user, item = dice.integers(50), dice.integers(ITEMS)
            clicked = int(dice.random() < (0.7 if (user + item) % 2 else 0.3))
            rows.writerow([f"u{user}", f"i{item}", clicked, *(values(dice, n) for n in range(len(names)))])
    features = [f'  {name}: {{type: multivalent, separator: "|"}}\n' for name in names[3::4]]
    features += [f"  {name}: {{type: numeric, buckets: 4}}\n" for name in names[1::8]]
    (folder / "features.yaml").write_text(
        f"label: clicked\nranking: {{group: user, item: item}}\nfeatures:\n{''.join(features)}"
    )
    return names


@pytest.mark.long
def test_many_columns(columns, tmp_path: Path):
    """Warm-up is replayed before a version is served, and the infra check has asked about 1,000 candidates."""
    root = tmp_path / "runs"
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    done = subprocess.run(
        [RANKLINE, "run", f"--dataset={tmp_path / 'wide'}", f"--root={root}", "--no-serve", *settings],
        capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

    items = [f"i{n}" for n in range(ITEMS)]
    dice = np.random.default_rng(2)
    context = {"user": "u1"}
    for n, name in enumerate(columns):
        value = values(dice, n)
        context[name] = [value, float(value) if n % 4 == 1 else value, int(value) if n % 4 == 2 else value,
                         value.split("|")][n % 4]  # fmt: skip
    with (
        Server(ServerOptions("wide", str(root / "wide" / "serving"))) as server,
        Client(f"127.0.0.1:{server.port}", "wide", TIMEOUT_S) as client,
    ):
        server.wait_until_available(TIMEOUT_S)
        ranking = client.rank(context, {"item": items})
        assert sorted(ranked.index for ranked in ranking) == list(range(ITEMS))
        assert len(client.rank(context, {"item": items * 700}, k=5)) == 5
