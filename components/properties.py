"""Custom properties and types of artifacts. Apart from the components, so that reading them needs no TensorFlow."""

from __future__ import annotations

REPORT_TYPE = "rankline.Report"
"""ML Metadata's type of reports. Vertex AI wants such names."""
SPAN_NAME_PROPERTY = "span_name"
"""Of examples: the last span that they are of, as people write it; TFX's property `span` is its number."""
WARNINGS_PROPERTY = "warnings"
"""Of anomalies, as JSON: what is wrong with the data, where that does not stop the run."""
