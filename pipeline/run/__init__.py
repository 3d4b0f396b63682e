"""A run of the pipeline: its graph, its nodes, what is kept of it."""
