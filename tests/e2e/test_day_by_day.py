"""A log that grows: parameters are searched for, and training begins with the model of the days before."""

import json
import re

import pytest

CONFIG = """
train: {warm_start: true, epochs: 3, batch_size: 64}
tune:
  trials: 2
  algorithm: random
  space: {dropout: [0.0, 0.1, 0.2], hidden_units: [[8], [16, 8]]}
thresholds: {auc: {min: 0.99}}  # so that it is not pushed, for other tests
"""


@pytest.mark.long
def test_a_third_day_begins_with_the_model_of_the_first_two(stranger, rankline, tmp_path):
    day3 = (stranger.folder / "day2.csv").read_text().replace("u39,", "someone new,")
    folder = stranger.copy(tmp_path / "their data", day3_csv=day3)
    (tmp_path / "run.yaml").write_text(CONFIG)
    arguments = ("-d", str(folder), "--root", str(stranger.root.path), "--no-serve", "-c", str(tmp_path / "run.yaml"))
    done, again = rankline("run", *arguments), rankline("run", *arguments)

    assert [(each.returncode, each.stderr) for each in (done, again)] == [(3, "")] * 2
    logs = stranger.root.logs()[-2]
    log = (logs / "run.log").read_text()

    tried = re.findall(r"trial \d+: (\{.*\}): (0\.\d+) on eval", log)
    best, _ = max(tried, key=lambda trial: float(trial[1]))
    tuned = json.loads((logs / "summary.json").read_text())["tuned"]
    assert len(tried) == 2
    assert best == str(tuned)
    shown = ", ".join(f"{key}={json.dumps(value)}" for key, value in tuned.items())
    assert re.search(rf"✓ Tuner .*\n +{re.escape(shown)}\n", done.stdout)

    ((rows, of_rows),) = re.findall(r"warm start from .*/Trainer/model/\d+/.*: (\d+) of (\d+) rows of", log)
    assert 0 < int(rows) < int(of_rows)

    # Once more it would begin with the same model, and has nothing new to learn.
    marks = re.findall(r"^  ([✓=-]) (?:Tuner|Trainer|Evaluator)\b", again.stdout, re.MULTILINE)
    assert marks == ["="] * 3
