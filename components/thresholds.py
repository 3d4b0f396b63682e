"""What a model is judged by, and what makes it refused, in the terms of TFMA."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, NonNegativeFloat
from tensorflow_model_analysis.proto import config_pb2

from components.metrics import METRICS
from schema.errors import SpecError
from schema.feature_spec import LABEL, WEIGHT, FeatureSpec

_RANKING = ("gauc", "ndcg@10")


class Threshold(BaseModel):
    """When a metric refuses a model. Bounds are inclusive."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min: float | None = None
    max: float | None = None
    max_drop: NonNegativeFloat | None = None
    """By so much may the metric be worse than the last blessed model's. Not for calibration."""


def metrics_of(spec: FeatureSpec) -> list[str]:
    """Names of the metrics that a dataset's models are judged by; the last two need a ranking group."""
    return [name for name in METRICS if spec.ranking or name not in _RANKING]


def eval_config(spec: FeatureSpec, thresholds: Mapping[str, Threshold]) -> config_pb2.EvalConfig:
    """TFMA's configuration: the metrics overall and by the spec's slices, and thresholds overall.

    Args:
        spec: the resolved feature spec.
        thresholds: metric name (of `METRICS`) -> bounds.

    Raises:
        SpecError: a threshold for a metric that the dataset cannot have.
    """
    metrics = {
        "auc": config_pb2.MetricConfig(class_name="PointwiseAUC", module="components.pointwise_metrics"),
        "logloss": config_pb2.MetricConfig(class_name="PointwiseLogLoss", module="components.pointwise_metrics"),
        "calibration": config_pb2.MetricConfig(
            class_name="PointwiseCalibration", module="components.pointwise_metrics"
        ),
        "gauc": config_pb2.MetricConfig(class_name="GroupAUC", module="components.group_metrics"),
        "ndcg@10": config_pb2.MetricConfig(class_name="GroupNDCG", module="components.group_metrics"),
    }
    for name, threshold in thresholds.items():
        if name not in metrics_of(spec):
            raise SpecError(f"thresholds.{name}: expected a dataset with 'ranking' in its features.yaml, received none")
        # `threshold` would hold for every slice, however few rows it has.
        metrics[name].per_slice_thresholds.add(
            slicing_specs=[config_pb2.SlicingSpec()], threshold=_tfma_threshold(name, threshold)
        )
    count = config_pb2.MetricConfig(class_name="ExampleCount")
    # Always kept: without any threshold there is no verdict, and TFX takes a model without a verdict for a bad one.
    count.per_slice_thresholds.add(slicing_specs=[config_pb2.SlicingSpec()], threshold=_at_least(1))
    plain = [count, *(metrics[n] for n in METRICS if n not in _RANKING)]
    specs = [config_pb2.MetricsSpec(metrics=plain)]
    if spec.ranking:
        specs.append(config_pb2.MetricsSpec(metrics=[metrics[n] for n in _RANKING], query_key=spec.ranking.group))
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(
                model_type="tf_generic",
                signature_name="serving_default",
                prediction_key="probability",
                label_key=LABEL,
                example_weight_key=WEIGHT if spec.weight else "",
            )
        ],
        metrics_specs=specs,
        slicing_specs=[
            config_pb2.SlicingSpec(),
            *(config_pb2.SlicingSpec(feature_keys=columns) for columns in spec.slices),
        ],
    )


def _at_least(bound: float) -> config_pb2.MetricThreshold:
    return config_pb2.MetricThreshold(value_threshold=config_pb2.GenericValueThreshold(lower_bound={"value": bound}))


def _tfma_threshold(name: str, threshold: Threshold) -> config_pb2.MetricThreshold:
    result = config_pb2.MetricThreshold()
    if threshold.min is not None:
        result.value_threshold.lower_bound.value = threshold.min
    if threshold.max is not None:
        result.value_threshold.upper_bound.value = threshold.max
    if threshold.max_drop is not None:
        higher = METRICS[name] == "higher"
        direction = (
            config_pb2.MetricDirection.HIGHER_IS_BETTER if higher else config_pb2.MetricDirection.LOWER_IS_BETTER
        )
        result.change_threshold.direction = direction
        result.change_threshold.absolute.value = -threshold.max_drop if higher else threshold.max_drop
    return result
