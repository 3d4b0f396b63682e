"""TFMA's configuration: the metrics that it computes, overall and by slice."""

from __future__ import annotations

import json

from tensorflow_model_analysis.proto import config_pb2

from components.evaluation.metrics import registry
from components.evaluation.tfma_metrics import COUNTED_POSITIVES, COUNTED_ROWS, ListComputation, RowComputation
from schema.answers import JUDGED_BY, LabelKind
from schema.feature_spec import LABEL, WEIGHT, FeatureSpec


def computed(spec: FeatureSpec) -> list[str]:
    """The names of all metrics, including those of labels other than the first, as in `bought.auc`."""
    of_first = registry.names(spec.label.kind, ranked=spec.ranking is not None)
    of_others = (f"{other}.{metric.name}" for other in spec.other_labels for metric in registry.of_rows("binary"))
    return [*of_first, *of_others]


def eval_config(spec: FeatureSpec) -> config_pb2.EvalConfig:
    """TFMA's configuration: the metrics overall and by the spec's slices. Thresholds are left to the gate.

    Args:
        spec: the resolved feature spec.
    """
    # Without any threshold TFMA gives no verdict, and TFX takes a model without a verdict for a bad one.
    count = config_pb2.MetricConfig(class_name="ExampleCount")
    count.per_slice_thresholds.add(
        slicing_specs=[config_pb2.SlicingSpec()],
        threshold=config_pb2.MetricThreshold(value_threshold={"lower_bound": {"value": 1}}),
    )
    kind = spec.label.kind
    counts = [COUNTED_ROWS, COUNTED_POSITIVES] if kind == "binary" else [COUNTED_ROWS]
    of_rows = [_of_rows(name, kind) for name in (*(metric.name for metric in registry.of_rows(kind)), *counts)]
    of_rows += [
        _of_rows(metric.name, "binary", other) for other in spec.other_labels for metric in registry.of_rows("binary")
    ]
    specs = [
        # Rows are counted without their weights.
        config_pb2.MetricsSpec(metrics=[count], example_weights=config_pb2.ExampleWeightOptions(unweighted=True)),
        config_pb2.MetricsSpec(metrics=of_rows),
    ]
    if spec.ranking and kind == "binary":
        of_lists = [_config(ListComputation, name=metric.name) for metric in registry.of_lists()]
        specs.append(config_pb2.MetricsSpec(metrics=of_lists, query_key=spec.ranking.group))
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(
                model_type="tf_generic",
                signature_name="serving_default",
                prediction_key=JUDGED_BY[kind],
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


def _of_rows(name: str, kind: LabelKind, other: str = "") -> config_pb2.MetricConfig:
    """A metric or a count of the first label, or of another one."""
    return _config(RowComputation, name=name, kind=kind, other=other)


def _config(computation: type[RowComputation | ListComputation], **arguments: str) -> config_pb2.MetricConfig:
    return config_pb2.MetricConfig(
        class_name=computation.__name__, module=computation.__module__, config=json.dumps(arguments)
    )
