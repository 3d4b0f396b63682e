"""Names of the custom properties by which components leave results in ML Metadata."""

METRICS_PROPERTY = "metrics"
"""Of an evaluation artifact: metric name -> value over the whole test split."""
REFUSALS_PROPERTY = "refusals"
"""Of an evaluation artifact: why the model was not blessed, a line each; empty for a blessed one."""
