"""What a model is judged by, and what makes it refused, in the terms of TFMA."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, NonNegativeFloat
from tensorflow_model_analysis.proto import config_pb2

from components.metrics import METRICS, OF_LABEL, OF_RANKING
from schema.errors import SpecError, listing
from schema.feature_spec import LABEL, WEIGHT, FeatureSpec


class Threshold(BaseModel):
    """When a metric refuses a model. Bounds are inclusive."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min: float | None = None
    max: float | None = None
    max_drop: NonNegativeFloat | None = None
    """By so much may the metric be worse than the last blessed model's. Not for calibration."""


DEFAULT_THRESHOLDS: Mapping[str, Threshold] = {
    # A model that orders no better than a coin, whose loss is past that of always saying "1 in 2", or that is no better
    # than the mean, is broken.
    "auc": Threshold(min=0.55, max_drop=0.01),
    "logloss": Threshold(max=0.6931, max_drop=0.02),
    "calibration": Threshold(min=0.7, max=1.4),
    "accuracy": Threshold(max_drop=0.01),
    "cross_entropy": Threshold(max_drop=0.02),
    "r2": Threshold(min=0.0, max_drop=0.02),
}
"""Of those metrics that a dataset has."""

_CLASSES: Mapping[str, tuple[str, str]] = {
    "auc": ("PointwiseAUC", "components.pointwise_metrics"),
    "logloss": ("PointwiseLogLoss", "components.pointwise_metrics"),
    "calibration": ("PointwiseCalibration", "components.pointwise_metrics"),
    "gauc": ("GroupAUC", "components.group_metrics"),
    "ndcg@10": ("GroupNDCG", "components.group_metrics"),
    "accuracy": ("ClassAccuracy", "components.class_metrics"),
    "cross_entropy": ("ClassCrossEntropy", "components.class_metrics"),
    "rmse": ("NumberRMSE", "components.number_metrics"),
    "mae": ("NumberMAE", "components.number_metrics"),
    "r2": ("NumberR2", "components.number_metrics"),
}
_ANSWER = {"binary": "probability", "classes": "probabilities", "number": "prediction"}
"""What a model is asked for, by the kind of label; see `trainer.heads`."""


def metrics_of(spec: FeatureSpec) -> list[str]:
    """Names of the metrics that a dataset's models are judged by."""
    ranked = OF_RANKING if spec.ranking and spec.label.kind == "binary" else ()
    return [*OF_LABEL[spec.label.kind], *ranked]


def eval_config(spec: FeatureSpec, thresholds: Mapping[str, Threshold]) -> config_pb2.EvalConfig:
    """TFMA's configuration: the metrics overall and by the spec's slices, and thresholds overall.

    Args:
        spec: the resolved feature spec.
        thresholds: metric name (of `METRICS`) -> bounds.

    Raises:
        SpecError: a threshold for a metric that the dataset cannot have.
    """
    metrics = {name: _metric(name) for name in metrics_of(spec)}
    for name, threshold in thresholds.items():
        if name not in metrics:
            if threshold == DEFAULT_THRESHOLDS.get(name):
                continue
            if name in OF_RANKING and spec.label.kind == "binary":
                raise SpecError(
                    f"thresholds.{name}: expected a dataset with 'ranking' in its features.yaml, received none"
                )
            raise SpecError(
                f"thresholds: expected metrics of a label of this kind, {listing(metrics)}, received {name!r}"
            )
        # `threshold` would hold for every slice, however few rows it has.
        metrics[name].per_slice_thresholds.add(
            slicing_specs=[config_pb2.SlicingSpec()], threshold=_tfma_threshold(name, threshold)
        )
    count = config_pb2.MetricConfig(class_name="ExampleCount")
    # Always kept: without any threshold there is no verdict, and TFX takes a model without a verdict for a bad one.
    count.per_slice_thresholds.add(slicing_specs=[config_pb2.SlicingSpec()], threshold=_at_least(1))
    others = [_metric(name, other) for other in spec.other_labels for name in OF_LABEL["binary"]]
    specs = [config_pb2.MetricsSpec(metrics=[count, *(metrics[name] for name in OF_LABEL[spec.label.kind]), *others])]
    if ranked := [metrics[name] for name in OF_RANKING if name in metrics]:
        assert spec.ranking is not None, "ranked metrics are of lists"
        specs.append(config_pb2.MetricsSpec(metrics=ranked, query_key=spec.ranking.group))
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(
                model_type="tf_generic",
                signature_name="serving_default",
                prediction_key=_ANSWER[spec.label.kind],
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


def _metric(name: str, other: str = "") -> config_pb2.MetricConfig:
    """A metric of the first label, or of another one."""
    class_name, module = _CLASSES[name]
    config = json.dumps({"name": name, "other": other}) if other else ""
    return config_pb2.MetricConfig(class_name=class_name, module=module, config=config)


def metric_name(metric: config_pb2.MetricConfig) -> str | None:
    """What a metric of `eval_config` is called; None for one that is not ours."""
    ours = {class_name: name for name, (class_name, _) in _CLASSES.items()}
    return json.loads(metric.config)["name"] if metric.config else ours.get(metric.class_name)


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
