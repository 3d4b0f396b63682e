"""Runs of the pipeline: their graph, nodes, files and history."""
