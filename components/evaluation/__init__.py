"""Evaluation of a model: its metrics, their confidence intervals, and the gate that decides whether to push it."""
