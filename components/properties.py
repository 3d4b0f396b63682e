"""Custom properties and types of artifacts. Apart from the components, so that reading them needs no TensorFlow."""

from __future__ import annotations

import json
from typing import Any

from schema.split_record import SplitRecord

REPORT_TYPE = "components.ReportArtifact"
"""ML Metadata's type of reports. TFX's entry point on Vertex AI imports what a type is called."""
SPAN_NAME_PROPERTY = "span_name"
"""Of examples: the last span that they are of, as people write it; TFX's property `span` is its number."""
UNCHANGED_PROPERTY = "unchanged"
"""Of a pushed model: 1 where it was the newest version already."""
METRICS_PROPERTY = "metrics"
"""Of an evaluation, as JSON: metric -> value over the whole test split, of those that have one. Those of another label
than the first have its name in front, as in `bought.auc`."""
REFUSALS_PROPERTY = "refusals"
"""Of an evaluation, an infra blessing or a report, as JSON: why the model was refused, a line each; empty for a good
one."""
UNJUDGED_PROPERTY = "unjudged"
"""Of an evaluation, as JSON: which metrics could not be judged over the whole test split, and why, a line each."""
WARNINGS_PROPERTY = "warnings"
"""As JSON: of examples, what is odd about files and rows; of anomalies, what is wrong with the data, where that does
not stop the run; of an evaluation, what is to be known of its verdict, where that does not refuse the model."""
SPLITS_PROPERTY = "splits"
"""Of examples, and of a model that was trained on them: a `schema.split_record.SplitRecord` as JSON."""
CHECKED_PROPERTY = "checked"
"""Of an infra blessing: 1 if a server was started."""
MODEL_PROPERTY = "current_model_id"
"""Of an infra blessing: the model's id, as TFX notes it with other blessings."""


def splits_of(artifact: Any) -> SplitRecord | None:
    """How the rows of examples were split, or those that a model was trained on; None where that was not noted."""
    text = artifact.get_string_custom_property(SPLITS_PROPERTY)
    return SplitRecord.model_validate_json(text) if text else None


def noted(artifact: Any, name: str) -> list[str]:
    """The lines in a property of an artifact, which holds them as JSON; none where it has no such property."""
    lines: list[str] = json.loads(artifact.get_string_custom_property(name) or "[]")
    return lines
