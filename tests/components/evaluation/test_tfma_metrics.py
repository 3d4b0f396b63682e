"""Metrics of labels that are not yes or no, and of labels besides the first one."""

from __future__ import annotations

import json
import math

import apache_beam as beam
import numpy as np
import pytest
import sklearn.metrics
import tensorflow_model_analysis as tfma
from apache_beam.testing import util as beam_testing
from tensorflow_model_analysis.proto import config_pb2

from components.evaluation.tfma_config import computed, eval_config
from components.evaluation.tfma_metrics import RowSums
from components.evaluation.thresholds import Threshold, applicable
from schema.errors import SpecError
from schema.feature_spec import FeatureSpec


def added(kind: str, rows, parts: int = 2) -> RowSums:
    """Rows spread over accumulators that are then merged."""
    accumulators = [RowSums(kind) for _ in range(parts)]
    for index, row in enumerate(rows):
        accumulators[index % parts].add(*row)
    sums = RowSums(kind)
    for accumulator in accumulators:
        sums.merge(accumulator)
    return sums


def test_numbers_by_hand():
    """Errors 1, -2, 0 with weights 1, 1, 2: squares 5 / 4, absolute 3 / 4. Labels 1, 2, 3: mean 9 / 4, their squared
    deviations (5² + 1 + 2 · 3²) / 16 = 44 / 16, so that R² is 1 - 5 · 16 / 44.
    """
    sums = added("number", [(1.0, 2.0, 1.0), (2.0, 0.0, 1.0), (3.0, 3.0, 2.0)])
    assert sums.result("rmse") == pytest.approx(math.sqrt(5 / 4))
    assert sums.result("mae") == pytest.approx(3 / 4)
    assert sums.result("r2") == pytest.approx(1 - 5 * 16 / 44)


def test_numbers_as_sklearn():
    random = np.random.default_rng(0)
    labels, weights = random.normal(5, 3, 500), random.uniform(0.5, 2, 500)
    predictions = labels + random.normal(0, 1, 500)
    sums = added("number", zip(labels, predictions, weights, strict=True))
    assert sums.result("r2") == pytest.approx(sklearn.metrics.r2_score(labels, predictions, sample_weight=weights))


def test_equal_labels_have_no_r2_however_their_squares_are_rounded():
    """0.1 · 3 rows: the sum of squares less the square of the sum over 3 is 5.2e-18, and not 0."""
    sums = added("number", [(0.1, 0.2, 1.0)] * 3 + [(7.0, 0.2, 0.0)])
    assert math.isnan(sums.result("r2"))
    assert not math.isnan(added("number", [(0.1, 0.2, 1.0), (0.2, 0.2, 1.0)]).result("r2"))


@pytest.mark.parametrize("kind", ["binary", "classes", "number"])
def test_rows_of_weight_0_do_not_count(kind):
    answer = np.array([0.2, 0.8]) if kind == "classes" else 0.8
    found = added(kind, [(1.0, answer, 0.5), (0.0, answer, 2.0), (1.0, answer, 0.0)])
    assert found.result("counted_rows") == 2
    assert found.result("counted_positives") == 1


def test_the_same_label_everywhere_has_no_r2_and_no_rows_have_nothing():
    assert math.isnan(added("number", [(1.0, 2.0, 1.0)]).result("r2"))
    assert math.isnan(RowSums("number").result("mae"))
    assert math.isnan(RowSums("classes").result("accuracy"))


def test_classes_by_hand():
    """Right with weight 2, wrong with weight 1: 2 / 3. -(2 ln .7 + ln .1) / 3."""
    rows = [(1.0, np.array([0.1, 0.7, 0.2]), 2.0), (0.0, np.array([0.1, 0.5, 0.4]), 1.0)]
    sums = added("classes", rows)
    assert sums.result("accuracy") == pytest.approx(2 / 3)
    assert sums.result("cross_entropy") == pytest.approx(-(2 * math.log(0.7) + math.log(0.1)) / 3)


def test_a_class_that_was_ruled_out_has_a_finite_loss():
    sums = added("classes", [(0.0, np.array([0.0, 1.0]), 1.0)])
    assert sums.result("cross_entropy") == pytest.approx(-math.log(1e-7))


def spec_of(**content: object) -> FeatureSpec:
    return FeatureSpec.model_validate({"label": "y", "features": {"x": {}}, **content})


def assert_metrics(config: config_pb2.EvalConfig, rows: list[dict], expected: dict[str, float]) -> None:
    """What TFMA's own pipeline makes of extracts."""

    def check(result):
        ((_, found),) = result
        values = {key.name: value for key, value in found.items()}
        assert {name: values[name] for name in expected} == pytest.approx(expected)

    with beam.Pipeline() as pipeline:
        evaluation = (
            pipeline
            | beam.Create(rows)
            | tfma.evaluators.MetricsPlotsAndValidationsEvaluator(
                eval_config=tfma.utils.update_eval_config_with_defaults(config)
            ).ptransform
        )
        beam_testing.assert_that(evaluation["metrics"], check)


def row(label, features=None, **predictions):
    return {
        tfma.LABELS_KEY: np.array([label], np.float32),
        tfma.PREDICTIONS_KEY: {name: np.array(value, np.float32) for name, value in predictions.items()},
        tfma.EXAMPLE_WEIGHTS_KEY: None,
        tfma.FEATURES_KEY: {name: np.array([value], np.float32) for name, value in (features or {}).items()},
        tfma.SLICE_KEY_TYPES_KEY: [()],
    }


def test_another_label_is_judged_where_rows_have_it():
    """bought: .9 (yes) and .2 (no), in order; the third row does not say. The first label: .3 (yes) below .6 (no)."""
    rows = [
        row(1, {"_label_bought": 1}, probability=[0.3], logit=[0], probability_bought=[0.9]),
        row(0, {"_label_bought": 0}, probability=[0.6], logit=[0], probability_bought=[0.2]),
        row(0, {"_label_bought": math.nan}, probability=[0.1], logit=[0], probability_bought=[0.99]),
    ]
    loss = -(math.log(0.9) + math.log(0.8)) / 2
    expected = {"bought.auc": 1, "bought.logloss": loss, "bought.calibration": 1.1, "auc": 0.5}
    assert_metrics(eval_config(spec_of(other_labels={"bought": "z"})), rows, expected)


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        (spec_of(), ["auc", "logloss", "calibration"]),
        (spec_of(label={"column": "y", "classes": 3}), ["accuracy", "cross_entropy"]),
        (spec_of(label={"column": "y", "number": True}, ranking={"group": "x", "item": "x"}), ["rmse", "mae", "r2"]),
    ],
)
def test_metrics_by_the_kind_of_label(spec, names):
    assert computed(spec) == names
    shown = [json.loads(metric.config)["name"] for metric in eval_config(spec).metrics_specs[1].metrics]
    assert [name for name in shown if not name.startswith("counted")] == names


def test_a_threshold_of_another_kind_of_label_is_a_mistake():
    spec = spec_of(label={"column": "y", "number": True})
    with pytest.raises(SpecError, match=r"expected metrics of a label of this kind, rmse, mae, r2, received 'auc'"):
        applicable({"auc": Threshold(min=0.7)}, spec)
    assert applicable({"rmse": Threshold(max=0.5)}, spec) == {"rmse": Threshold(max=0.5)}
