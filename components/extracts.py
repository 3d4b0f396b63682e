"""What TFMA carries through its metrics: only what they read. Before that, rows are kept as they are.

TFMA passes every feature of every row, and the row itself once more, through each grouping of its pipeline. None of
our metrics looks at a feature other than its query key, and slices are the only other use: the rest is dropped before
it is copied.
"""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.extractors import unbatch_extractor
from tensorflow_model_analysis.proto import config_pb2

from components import evaluated_rows
from schema.feature_spec import LABEL

_KEPT = (tfma.LABELS_KEY, tfma.PREDICTIONS_KEY, tfma.EXAMPLE_WEIGHTS_KEY)


def custom_extractors(
    eval_shared_model: Any, eval_config: config_pb2.EvalConfig, tensor_adapter_config: Any
) -> list[Any]:
    """TFMA's default extractors with two more, before rows are taken apart. The Evaluator calls it by this name."""
    extractors = tfma.default_extractors(
        eval_shared_model=eval_shared_model,
        eval_config=eval_config,
        tensor_adapter_config=tensor_adapter_config,
    )
    stages = [extractor.stage_name for extractor in extractors]
    before = stages.index(unbatch_extractor.UNBATCH_EXTRACTOR_STAGE_NAME)
    keep = tfma.extractors.Extractor("KeepWhatMetricsRead", beam.Map(_trimmed, _features_read(eval_config)))
    return [*extractors[:before], evaluated_rows.keeper(eval_config), keep, *extractors[before:]]


def _features_read(config: config_pb2.EvalConfig) -> frozenset[str]:
    """The query keys and the columns of slices."""
    query_keys = {specs.query_key for specs in config.metrics_specs if specs.query_key}
    sliced = {key for slicing in config.slicing_specs for key in slicing.feature_keys}
    return frozenset(query_keys | sliced)


def _trimmed(extracts: dict[str, Any], features: frozenset[str]) -> dict[str, Any]:
    kept = {key: extracts[key] for key in _KEPT if key in extracts}
    found = extracts[tfma.FEATURES_KEY]
    # Labels other than the first one are features to TFMA.
    kept[tfma.FEATURES_KEY] = {
        name: values for name, values in found.items() if name in features or name.startswith(f"{LABEL}_")
    }
    return kept
