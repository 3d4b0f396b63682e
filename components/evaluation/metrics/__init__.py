"""The metrics, one file for each kind of label."""
