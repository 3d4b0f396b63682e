"""Custom properties of the data's artifacts. Apart from the components, so that reading them needs no TensorFlow."""

from __future__ import annotations

SPAN_NAME_PROPERTY = "span_name"
"""Of examples: the last span that they are of, as people write it; TFX's property `span` is its number."""
WARNINGS_PROPERTY = "warnings"
"""Of anomalies, as JSON: what is wrong with the data, where that does not stop the run."""
