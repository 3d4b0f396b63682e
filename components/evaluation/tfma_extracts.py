"""Extractors that reduce TFMA's extracts to what metrics read, and keep a sample of the rows before that.

TFMA passes every feature of every row, and the serialized row, through each grouping of its pipeline. Metrics and
slices read only the query key, other labels and the slices' columns, so the rest is dropped before it is copied.

The features are also hidden from the model. It takes serialized examples in an input called `examples`, for which TFMA
would pass a feature of that name instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import apache_beam as beam
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.extractors import predictions_extractor
from tensorflow_model_analysis.proto import config_pb2

from components.evaluation import evaluated_rows
from schema.feature_spec import LABEL

_KEPT = (tfma.LABELS_KEY, tfma.PREDICTIONS_KEY, tfma.EXAMPLE_WEIGHTS_KEY)
_ASIDE = "features_aside"
"""The key of the extracts that holds the features while the model runs."""


def custom_extractors(
    eval_shared_model: Any, eval_config: config_pb2.EvalConfig, tensor_adapter_config: Any
) -> list[Any]:
    """TFMA's default extractors with three more around the model. The Evaluator finds this function by its name."""
    extractors = tfma.default_extractors(
        eval_shared_model=eval_shared_model,
        eval_config=eval_config,
        tensor_adapter_config=tensor_adapter_config,
    )
    stages = [extractor.stage_name for extractor in extractors]
    asked = stages.index(predictions_extractor.PREDICTIONS_EXTRACTOR_STAGE_NAME)
    aside = tfma.extractors.Extractor("SetFeaturesAside", beam.Map(_set_aside, _features_read(eval_config)))
    keep = tfma.extractors.Extractor("KeepWhatMetricsRead", beam.Map(_trimmed))
    return [
        *extractors[:asked],
        aside,
        extractors[asked],
        evaluated_rows.keeper(eval_config),
        keep,
        *extractors[asked + 1 :],
    ]


def _features_read(config: config_pb2.EvalConfig) -> frozenset[str]:
    """The features that metrics and slices read: query keys and the slices' columns."""
    query_keys = {specs.query_key for specs in config.metrics_specs if specs.query_key}
    sliced = {key for slicing in config.slicing_specs for key in slicing.feature_keys}
    return frozenset(query_keys | sliced)


def _set_aside(extracts: Mapping[str, Any], features: frozenset[str]) -> dict[str, Any]:
    others = {key: values for key, values in extracts.items() if key != tfma.FEATURES_KEY}
    # TFMA treats labels other than the first one as features.
    kept = {
        name: values
        for name, values in extracts[tfma.FEATURES_KEY].items()
        if name in features or name.startswith(f"{LABEL}_")
    }
    return {**others, _ASIDE: kept}


def _trimmed(extracts: Mapping[str, Any]) -> dict[str, Any]:
    return {**{key: extracts[key] for key in _KEPT if key in extracts}, tfma.FEATURES_KEY: extracts[_ASIDE]}
