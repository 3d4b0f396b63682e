"""Kubeflow Pipelines: packages, and the cluster that runs them."""
