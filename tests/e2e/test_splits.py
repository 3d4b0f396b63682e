"""A model is judged on, and begins with, rows that it has not seen, also when columns or splits change between runs."""

import re
from pathlib import Path

import pytest
import tensorflow as tf

pytestmark = pytest.mark.long


def rows_of(root: Path, dataset: str, split: str) -> set[tuple[str, ...]]:
    """The rows of a split in the latest examples: user, movie and title."""
    *_, latest = sorted(
        (root / dataset / "artifacts" / "ExampleGen" / "examples").iterdir(), key=lambda each: int(each.name)
    )
    found = set()
    for path in (latest / f"Split-{split}").iterdir():
        for record in tf.data.TFRecordDataset(str(path), compression_type="GZIP").as_numpy_iterator():
            features = tf.train.Example.FromString(record).features.feature
            values = [features[name] for name in ("user", "movie", "price", "_label")]
            found.add(tuple(str(value) for value in values))
    return found


@pytest.fixture
def changed(stranger, rankline, tmp_path):
    """Runs the stranger's dataset once, then once more with other files and another description."""

    def run(description: str, column: bool, *arguments: str) -> str:
        folder = stranger.copy(tmp_path / "their data", stranger.description)
        common = ("run", "-d", str(folder), "--root", str(tmp_path / "runs"), "--no-serve", *stranger.settings)
        first = rankline(*common)
        assert first.returncode == 0, first.stderr
        before = {split: rows_of(tmp_path / "runs", "stranger", split) for split in ("train", "test")}
        (folder / "features.yaml").write_text(description)
        if column:
            for path in folder.glob("*.csv"):
                header, *lines = path.read_text().splitlines()
                noisy = [f"{line},{number % 3}" for number, line in enumerate(lines)]
                path.write_text("\n".join([f"{header},noise", *noisy, ""]))
        second = rankline(*common, *arguments)
        assert second.returncode == 0, second.stderr
        after = {split: rows_of(tmp_path / "runs", "stranger", split) for split in ("train", "test")}
        assert (before == after) == column
        assert bool(before["train"] & after["test"]) != column
        return second.stdout

    return run


def test_a_column_more_changes_no_split_and_the_models_are_compared(stranger, changed):
    said = changed(
        stranger.description, True, "--set", "train.warm_start=true", "--set", "thresholds.auc.max_drop=0.05"
    )

    assert "not compared" not in said
    assert re.search(r"✓ EarlierModel .*/Trainer/model/\d+", said)


def test_another_key_is_told_and_the_models_are_not_compared(stranger, changed):
    said = changed(stranger.description + "splits: {key: user}\n", False, "--set", "train.warm_start=true")

    assert (
        "  ! not compared with the last blessed model: it may have been trained on rows of the test split: it was "
        "trained with splits by random (user, movie), now they are by random (user)"
    ) in said
    assert not re.search(r"✓ EarlierModel .*/Trainer/model/\d+", said)
