"""`rankline compare` on what the main job has transformed: the same rows, features, training and metrics."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import tensorflow as tf

from pipeline.config.metadata import Sqlite
from pipeline.jobs.compare.run import OFTEN
from pipeline.run.history import list_runs
from pipeline.run.metadata import connection


@pytest.fixture(scope="module")
def written(movielens, tmp_path_factory) -> dict:
    """What the comparison writes; beside a copy of the main job's metadata, since other tests count its runs."""
    root = tmp_path_factory.mktemp("compare") / "runs"
    root.mkdir()
    shutil.copy(movielens.path / "metadata.sqlite", root)
    rankline = str(Path(sys.executable).with_name("rankline"))
    command = [rankline, "compare", "--root", str(root), "--models", "wide_deep,cooccurrence"]
    done = subprocess.run([*command, "--seeds", "1"], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done
    assert done.stdout.count("unchanged") == 5
    assert done.stdout.index("wide_deep") < done.stdout.index("cooccurrence")
    # A comparison is no run of the pipeline.
    before, after = (list_runs(connection(Sqlite(), folder / "metadata.sqlite")) for folder in (movielens.path, root))
    assert before == after
    (numbers,) = root.glob("movielens/logs/*/compare.json")
    assert str(numbers) in done.stdout
    assert numbers.with_name("compare.png").is_file()
    return json.loads(numbers.read_text())


def test_metrics_are_the_evaluators(movielens, written) -> None:
    summary = json.loads((movielens.logs()[0] / "summary.json").read_text())
    (trained,) = written["models"]["wide_deep"]
    assert trained["metrics"] == pytest.approx(summary["metrics"], abs=1e-3)
    assert set(trained["metrics"]) == set(summary["metrics"])


def test_the_plain_baseline_is_better_than_chance(written) -> None:
    (trained,) = written["models"]["cooccurrence"]
    assert trained["metrics"]["auc"] > 0.65
    assert 0 < trained["coverage"] < 1


def items(split: Path) -> list[int]:
    feature = {"item_id": tf.io.FixedLenFeature([], tf.int64)}
    files = [str(path) for path in sorted(split.iterdir())]
    records = tf.data.TFRecordDataset(files, compression_type="GZIP").batch(100_000)
    return [item for batch in records for item in tf.io.parse_example(batch, feature)["item_id"].numpy().tolist()]


def test_how_often_items_were_seen(movielens, written) -> None:
    (artifact,) = movielens.path.glob("movielens/artifacts/ExampleGen/examples/*")
    seen = Counter(items(artifact / "Split-train"))
    counts = [seen[item] for item in items(artifact / "Split-test")]
    assert written["rows"]["item_id"] == {
        "never": sum(count == 0 for count in counts),
        "rarely": sum(0 < count < OFTEN for count in counts),
        "often": sum(count >= OFTEN for count in counts),
    }
    # A person rates a movie once.
    assert written["rows"]["group x item"] == {"never": len(counts), "rarely": 0, "often": 0}
