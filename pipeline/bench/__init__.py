"""Benchmarks: measurements of cost, by commands that anyone can repeat."""
