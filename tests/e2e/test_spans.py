"""A user's log of several days: the days that are read, and the errors that stop a run."""

from __future__ import annotations

import json

import numpy as np
import pytest

DAYS = """
name: days
label: clicked
source: {files: "{YYYY}-{MM}-{DD}.csv"}
features: {user: , price: numeric}
"""


@pytest.fixture(scope="module")
def days(tmp_path_factory):
    """Four days in March, of which the third is missing; on the last one prices are in cents."""
    folder = tmp_path_factory.mktemp("days") / "log"
    folder.mkdir()
    (folder / "features.yaml").write_text(DAYS)
    dice = np.random.default_rng(3)
    for day, unit in ((1, 1), (2, 1), (4, 100)):
        prices = dice.uniform(5, 15, size=200)
        lines = [f"{int(dice.random() < price / 20)},u{dice.integers(9)},{price * unit:.2f}" for price in prices]
        (folder / f"2026-03-0{day}.csv").write_text("\n".join(["clicked,user,price", *lines, ""]))
    return folder


def test_a_day_in_other_units_stops_the_run_before_anything_is_trained(days, rankline, tmp_path):
    drift = ("--set", "spans.window=3", "--set", "spans.max_drift.price=0.2")
    done = rankline("run", "-d", str(days), "--root", str(tmp_path), "--no-serve", *drift)

    assert done.returncode == 1
    assert "wide_deep on days, run " in done.stdout
    assert ", 2 spans from 2026-03-02 to 2026-03-04\n" in done.stdout
    assert f"  ! {days}/features.yaml: source.files: expected files of each of the 3 spans up to 2026-03-04, found " \
        "none of 2026-03-03\n" in done.stdout  # fmt: skip
    assert "✓ ExampleValidator" in done.stdout
    assert "Transform" not in done.stdout
    first, price, _ = done.stderr.splitlines()
    assert first == "Error: the data of span 2026-03-04 differs from that of span 2026-03-02:"
    assert price.startswith("  price: expected a Jensen-Shannon divergence of at most 0.2, received ")


@pytest.mark.long
def test_a_model_of_two_days_begins_with_that_of_the_first(days, rankline, tmp_path):
    arguments = ("run", "-d", str(days), "--root", str(tmp_path), "--no-serve", "--set", "spans.drift=warn", "--set",
                 "spans.max_drift.price=0.2", "--set", "train.warm_start=true", "--set", "train.batch_size=16",
                 "--set", "thresholds={auc: {min: 0, max_drop: 1}}", "--set", "thresholds.logloss={max: 9}",
                 "--set", "thresholds.calibration={min: 0, max: 9}", "--set", "gate={min_rows: 0, min_of_class: 0}",
                 "--set", "spans.window=9")  # fmt: skip
    for span in ("2026-03-01", "2026-03-04", "2026-03-02"):
        done = rankline(*arguments, "--span", span)
        assert (done.returncode, done.stderr) == (0, "")
    runs = sorted((tmp_path / "days" / "logs").iterdir())
    first, last, between = (json.loads((run / "summary.json").read_text()) for run in runs)

    assert [sum(run["rows"].values()) for run in (first, last, between)] == [200, 600, 400]
    assert first["warnings"] == between["warnings"] == []
    missing, drift = last["warnings"]
    assert "found none of 2026-03-03" in missing
    assert "  price: expected a Jensen-Shannon divergence" in drift
    # What has seen March 4 is nothing to begin with for who is judged by it.
    for run in runs[1:]:
        assert "warm start from" in (run / "run.log").read_text()
        assert "/Trainer/model/" in (run / "run.log").read_text()
