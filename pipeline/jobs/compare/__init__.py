"""`rankline compare`: several models on one dataset, over several seeds, judged with the same rows and metrics."""
