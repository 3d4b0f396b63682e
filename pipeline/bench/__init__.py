"""Benchmarks: what costs how much, measured by commands that anyone can run again."""
