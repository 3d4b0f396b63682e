"""Custom properties and types of artifacts, in a module of their own, so that reading them needs no TensorFlow."""

from __future__ import annotations

import json
from typing import Any

from schema.split_record import SplitRecord

REPORT_TYPE = "components.ReportArtifact"
"""ML Metadata's type of reports. TFX's entry point on Vertex AI imports the class by this name."""
SPAN_NAME_PROPERTY = "span_name"
"""The name of the examples' last span, as its files write it. TFX's property `span` is its number. On examples."""
UNCHANGED_PROPERTY = "unchanged"
"""1 if the model was already the newest version. On a pushed model."""
METRICS_PROPERTY = "metrics"
"""The values over the whole test split of the metrics that have one, by name, as JSON. Metrics of a label other than
the first have its name in front, as in `bought.auc`. On an evaluation."""
REFUSALS_PROPERTY = "refusals"
"""The reasons why the model was refused, as a JSON list of lines; empty for a good model. On an evaluation, an infra
blessing or a report."""
UNJUDGED_PROPERTY = "unjudged"
"""The metrics that could not be judged over the whole test split, and the reasons, as a JSON list of lines. On an
evaluation."""
WARNINGS_PROPERTY = "warnings"
"""Warnings, as a JSON list of lines. On examples: oddities in files and rows; on anomalies: differences in the data
that did not stop the run; on an evaluation: remarks on the verdict that did not refuse the model."""
SPLITS_PROPERTY = "splits"
"""A `schema.split_record.SplitRecord` as JSON. On examples, and on a model that was trained on them."""
CHECKED_PROPERTY = "checked"
"""1 if a server was started. On an infra blessing."""
MODEL_PROPERTY = "current_model_id"
"""The model's id; TFX's other blessings have the same property. On an infra blessing."""
REFRESHED_PROPERTY = "refreshed"
"""The kind of model that was refreshed, such as wide_deep. On a model with newer items that was not trained anew."""


def splits_of(artifact: Any) -> SplitRecord | None:
    """The split record of examples, or of a model that was trained on them; None if it was not recorded."""
    text = artifact.get_string_custom_property(SPLITS_PROPERTY)
    return SplitRecord.model_validate_json(text) if text else None


def noted(artifact: Any, name: str) -> list[str]:
    """The lines in an artifact's property, which holds a JSON list; empty if the artifact has no such property."""
    lines: list[str] = json.loads(artifact.get_string_custom_property(name) or "[]")
    return lines
