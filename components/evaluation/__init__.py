"""Evaluation of a model: its metrics, their confidence intervals, and the verdict on whether to push it."""
