"""The new metric of the documentation's page on metrics: all parts know it by its name."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss
from tfx.types import standard_artifacts

from components.evaluation import bootstrap, gate, intervals, results, rows
from components.evaluation.metrics.registry import METRICS
from components.evaluation.tfma_config import computed
from components.evaluation.thresholds import applicable
from components.properties import METRICS_PROPERTY, REFUSALS_PROPERTY
from components.report import page
from components.report.document import Report
from pipeline.config.run import RunConfig
from pipeline.jobs.compare.metrics import JudgedRows
from pipeline.run.history import Run, runs_table
from schema.feature_spec import FeatureSpec

PAGE = Path(__file__).parents[3] / "docs" / "contributing" / "add-a-metric.md"
MODULE = "components.evaluation.metrics.brier"

DESCRIPTION = """
label: y
weight: w
slices: [city]
source: {files: {train: test.csv, eval: test.csv, test: test.csv}}
features: {x: numeric}
"""
_random = np.random.default_rng(7)
X = _random.normal(size=200).round(3)
Y = (X + _random.normal(size=200) > 0).astype(int)
W = _random.choice([0.5, 1, 2], size=200)
CITY = np.where(np.arange(200) % 3, "Oslo", "Rome")
PROBABILITY = 1 / (1 + np.exp(-X))  # the model's logit is x
BRIER = brier_score_loss(Y, PROBABILITY, sample_weight=W)


@pytest.fixture(scope="module", autouse=True)
def brier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The page's file, as if it were in the folder."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    path = tmp_path_factory.mktemp("metrics") / "brier.py"
    path.write_text(code)
    spec = importlib.util.spec_from_file_location(MODULE, path)
    sys.modules[MODULE] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield
    del METRICS["brier"], sys.modules[MODULE]


@dataclass(frozen=True)
class Evaluated:
    """What the Evaluator left."""

    evaluation: standard_artifacts.ModelEvaluation
    spec: FeatureSpec


@pytest.fixture(scope="module")
def evaluated(brier, tmp_path_factory, make_dataset, make_examples, make_model, run_evaluator) -> Evaluated:
    folder = tmp_path_factory.mktemp("new")
    lines = ["y,w,x,city", *(",".join(map(str, row)) for row in zip(Y, W, X, CITY, strict=True)), ""]
    dataset = make_dataset(folder / "data", DESCRIPTION, {"test.csv": "\n".join(lines)})
    examples = make_examples(dataset, folder / "examples")
    model = standard_artifacts.Model()
    model.uri, model.id = str(make_model()), 2
    config = RunConfig.model_validate({"thresholds": {"brier": {"max": 0.01, "slices": {"city": {"max": 1}}}}})
    thresholds = applicable(config.thresholds, dataset.spec)
    made, _ = run_evaluator(folder, dataset, {"examples": [examples], "model": [model]}, thresholds)
    return Evaluated(made, dataset.spec)


def test_the_evaluator_computes_it(evaluated):
    metrics = json.loads(evaluated.evaluation.get_string_custom_property(METRICS_PROPERTY))
    assert list(metrics) == ["auc", "logloss", "calibration", "brier"]
    assert metrics["brier"] == pytest.approx(BRIER, rel=1e-6)
    of_rome = results.read(evaluated.evaluation.uri)[(("city", "Rome"),)].candidate["brier"]
    rome = CITY == "Rome"
    assert of_rome == pytest.approx(brier_score_loss(Y[rome], PROBABILITY[rome], sample_weight=W[rome]), rel=1e-6)


def test_the_gate_holds_it_to_its_bounds(evaluated):
    (refusal,) = json.loads(evaluated.evaluation.get_string_custom_property(REFUSALS_PROPERTY))
    assert refusal.startswith(f"brier: expected at most 0.01, received {BRIER:.4f} (")
    conditions = {each.what: each for each in gate.read(evaluated.evaluation.uri).conditions}
    low, high = conditions["brier"].interval
    assert low < BRIER < high
    assert conditions["brier of city = Oslo"].outcome == "kept"


def test_the_report_shows_it_with_its_meaning(evaluated, report: Report):
    uri, spec = evaluated.evaluation.uri, evaluated.spec
    kept = rows.read(uri, spec)
    found, counted = results.read(uri), bootstrap.counts(kept)
    metrics = intervals.metrics(computed(spec), kept, counted, found[()])
    slices, _ = intervals.slices(computed(spec), kept, counted, found)
    of_new = report.model_copy(update={"metrics": metrics, "slices": slices})
    for text in (page.html(of_new), page.markdown(of_new)):
        assert f"{BRIER:.4f}" in text
    assert METRICS["brier"].meaning in page.html(of_new)


def test_runs_and_comparisons_show_it():
    table = runs_table([Run("1", "toys", "wide", {"auc": 0.7, "brier": 0.2}, True, "1")])
    assert "brier" in [str(column.header) for column in table.columns]
    found = JudgedRows(Y.astype(float), W, None).metrics(X)
    assert found["brier"] == pytest.approx(BRIER)
