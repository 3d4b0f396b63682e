"""`rankline compare`: several models on one dataset, over several seeds, by the same rows and metrics."""
