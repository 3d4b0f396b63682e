"""What TFMA computes of a model: the metrics overall and by slice."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from tensorflow_model_analysis.proto import config_pb2

from components.evaluation.metrics.names import OF_LABEL, OF_RANKING
from schema.feature_spec import LABEL, WEIGHT, FeatureSpec

_CLASSES: Mapping[str, tuple[str, str]] = {
    "auc": ("PointwiseAUC", "components.evaluation.metrics.binary"),
    "logloss": ("PointwiseLogLoss", "components.evaluation.metrics.binary"),
    "calibration": ("PointwiseCalibration", "components.evaluation.metrics.binary"),
    "gauc": ("GroupAUC", "components.evaluation.metrics.lists"),
    "ndcg@10": ("GroupNDCG", "components.evaluation.metrics.lists"),
    "accuracy": ("ClassAccuracy", "components.evaluation.metrics.classes"),
    "cross_entropy": ("ClassCrossEntropy", "components.evaluation.metrics.classes"),
    "rmse": ("NumberRMSE", "components.evaluation.metrics.numbers"),
    "mae": ("NumberMAE", "components.evaluation.metrics.numbers"),
    "r2": ("NumberR2", "components.evaluation.metrics.numbers"),
}
_COUNTS: Mapping[str, Sequence[tuple[str, str]]] = {
    "binary": [
        ("PointwiseRows", "components.evaluation.metrics.binary"),
        ("PointwisePositives", "components.evaluation.metrics.binary"),
    ],
    "classes": [("ClassRows", "components.evaluation.metrics.classes")],
    "number": [("NumberRows", "components.evaluation.metrics.numbers")],
}
"""By the kind of label: what is counted along with the metrics, from the same sums."""
ANSWER: Mapping[str, str] = {"binary": "probability", "classes": "probabilities", "number": "prediction"}
"""What a model is asked for, by the kind of label; see `trainer.heads`."""


def metrics_of(spec: FeatureSpec) -> list[str]:
    """Names of the metrics that a dataset's models are judged by."""
    ranked = OF_RANKING if spec.ranking and spec.label.kind == "binary" else ()
    return [*OF_LABEL[spec.label.kind], *ranked]


def computed(spec: FeatureSpec) -> list[str]:
    """Names of all metrics that are computed: those of other labels than the first, too, as in `bought.auc`."""
    return [*metrics_of(spec), *(f"{other}.{name}" for other in spec.other_labels for name in OF_LABEL["binary"])]


def eval_config(spec: FeatureSpec) -> config_pb2.EvalConfig:
    """TFMA's configuration: the metrics overall and by the spec's slices. What is asked of them is the gate's matter.

    Args:
        spec: the resolved feature spec.
    """
    # TFX takes a model without a verdict for a bad one, and TFMA gives none where there is no threshold at all.
    count = config_pb2.MetricConfig(class_name="ExampleCount")
    count.per_slice_thresholds.add(
        slicing_specs=[config_pb2.SlicingSpec()],
        threshold=config_pb2.MetricThreshold(value_threshold={"lower_bound": {"value": 1}}),
    )
    of_label = [_metric(name) for name in OF_LABEL[spec.label.kind]]
    others = [_metric(name, other) for other in spec.other_labels for name in OF_LABEL["binary"]]
    counts = [config_pb2.MetricConfig(class_name=name, module=module) for name, module in _COUNTS[spec.label.kind]]
    specs = [
        # Rows are counted as such, whatever they weigh.
        config_pb2.MetricsSpec(metrics=[count], example_weights=config_pb2.ExampleWeightOptions(unweighted=True)),
        config_pb2.MetricsSpec(metrics=[*of_label, *counts, *others]),
    ]
    if ranked := [_metric(name) for name in metrics_of(spec) if name in OF_RANKING]:
        assert spec.ranking is not None, "ranked metrics are of lists"
        specs.append(config_pb2.MetricsSpec(metrics=ranked, query_key=spec.ranking.group))
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(
                model_type="tf_generic",
                signature_name="serving_default",
                prediction_key=ANSWER[spec.label.kind],
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
