"""The table and the files of a backfill."""

from __future__ import annotations

import json

import numpy as np
import pytest
from rich.console import Console

from pipeline.jobs.backfill.judge import Judged
from pipeline.jobs.backfill.show import Backfill, table, write
from pipeline.jobs.backfill.walk import Step, scores_of

LABELS = np.array([1.0, 0.0, 1.0, 0.0])


def judged(once, continuous) -> Judged:
    return Judged(LABELS, np.ones(4), np.array(once, float), np.array(continuous, float))


@pytest.fixture
def backfill(tmp_path):
    """On day 2 the first model orders 2 of 4 pairs and the latest all, on day 3 it is the other way around; on day 4
    all labels are the same, and the latest is the surer of them."""
    steps = [Step(f"day {day}", "", 60.0, 100, f"v{day}", ids=50 * (day > 1), known_ids=40) for day in range(1, 5)]
    judged([1, 0, -1, 0], [1, 0, 1, 0]).save(scores_of(tmp_path, "day 2"))
    judged([1, 0, 1, 0], [1, 0, -1, 0]).save(scores_of(tmp_path, "day 3"))
    Judged(np.ones(2), np.ones(2), np.zeros(2), np.ones(2)).save(scores_of(tmp_path, "day 4"))
    return Backfill.read("toys", steps, tmp_path)


def shown(backfill: Backfill) -> list[list[str]]:
    console = Console(width=200)
    with console.capture() as captured:
        console.print(table(backfill))
    return [line.split() for line in captured.get().splitlines() if line.strip()]


def test_a_line_for_each_span_and_one_for_all(backfill):
    first, second, _, fourth, overall, *caption = shown(backfill)[3:]
    assert first == ["day", "1"]  # before the first model, and begun with none
    # ln(1 + e^-1) = 0.3133, ln 2 = 0.6931, ln(1 + e) = 1.3133
    assert second == ["day", "2", "4", "0.5000", "1.0000", "0.7532", "0.5032", "50", "80%"]
    assert fourth == ["day", "4", "2", "0.6931", "0.3133", "50", "80%"]  # no AUC of labels that are all the same
    assert overall[:2] == ["all", "10"]
    assert "Training each time is better by auc on 1 of 3, logloss on 2 of 3 spans." in " ".join(
        word for line in caption for word in line
    )


def test_a_picture_and_numbers(backfill, tmp_path):
    picture, numbers = write(backfill, tmp_path)
    assert picture.read_bytes().startswith(b"\x89PNG")
    content = json.loads(numbers.read_text())
    assert content["judged"]["day 2"]["continuous"]["auc"] == 1
    assert content["judged"]["day 4"]["once"]["auc"] is None
    assert [step["span"] for step in content["steps"]] == ["day 1", "day 2", "day 3", "day 4"]


def test_a_backfill_whose_models_were_never_judged(tmp_path):
    backfill = Backfill.read("toys", [Step("1", "", 1.0, 10, "v1")], tmp_path)
    assert shown(backfill)[3][:1] == ["1"]
    assert all(path.exists() for path in write(backfill, tmp_path))
