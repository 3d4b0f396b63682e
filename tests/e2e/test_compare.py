"""`rankline compare` on what a run has transformed: the same rows, features, training and metrics."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
import tensorflow as tf

from pipeline.config.metadata import Sqlite
from pipeline.jobs.compare.run import OFTEN
from pipeline.run.history import list_runs
from pipeline.run.metadata import connection
from tests.e2e.conftest import RANKLINE, TIMEOUT_S


@pytest.fixture(scope="module")
def written(stranger, tmp_path_factory) -> dict:
    """What the comparison writes; beside a copy of the run's metadata, since other tests count its runs."""
    root = tmp_path_factory.mktemp("compare") / "runs"
    root.mkdir()
    shutil.copy(stranger.root.path / "metadata.sqlite", root)
    options = ("--dataset", str(stranger.folder), "--root", str(root), *stranger.settings)
    command = [RANKLINE, "compare", *options, "--models", "wide_deep,cooccurrence", "--seeds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done
    assert done.stdout.count("unchanged") == 5
    assert done.stdout.index("wide_deep") < done.stdout.index("cooccurrence")
    # A comparison is no run of the pipeline.
    stores = (connection(Sqlite(), folder / "metadata.sqlite") for folder in (stranger.root.path, root))
    before, after = map(list_runs, stores)
    assert before == after
    (numbers,) = root.glob("stranger/logs/*/compare.json")
    assert str(numbers) in done.stdout
    assert numbers.with_name("compare.png").is_file()
    return json.loads(numbers.read_text())


def test_metrics_are_the_evaluators(stranger, written) -> None:
    summary = json.loads((stranger.root.logs()[1] / "summary.json").read_text())
    (trained,) = written["models"]["wide_deep"]
    assert trained["metrics"] == pytest.approx(summary["metrics"], abs=1e-3)
    assert set(trained["metrics"]) == set(summary["metrics"])


def test_the_plain_baseline_is_better_than_chance(written) -> None:
    (trained,) = written["models"]["cooccurrence"]
    assert trained["metrics"]["auc"] > 0.65
    assert 0 < trained["coverage"] < 1


def items(split: Path) -> list[int]:
    feature = {"movie": tf.io.FixedLenFeature([], tf.int64)}
    files = [str(path) for path in sorted(split.iterdir())]
    records = tf.data.TFRecordDataset(files, compression_type="GZIP").batch(100_000)
    return [item for batch in records for item in tf.io.parse_example(batch, feature)["movie"].numpy().tolist()]


def test_how_often_items_were_seen(stranger, written) -> None:
    made = stranger.root.path.glob("stranger/artifacts/ExampleGen/examples/*")
    artifact = min(made, key=lambda folder: int(folder.name))  # other tests run it, too
    seen = Counter(items(artifact / "Split-train"))
    counts = [seen[item] for item in items(artifact / "Split-test")]
    assert written["rows"]["movie"] == {
        "never": sum(count == 0 for count in counts),
        "rarely": sum(0 < count < OFTEN for count in counts),
        "often": sum(count >= OFTEN for count in counts),
    }
    # Rows of the same person and movie are in the same split.
    assert written["rows"]["group x item"] == {"never": len(counts), "rarely": 0, "often": 0}
