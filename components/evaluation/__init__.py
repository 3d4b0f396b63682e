"""Judging a model: its metrics, how sure they are, and the verdict that decides whether it is pushed."""
