"""`rankline backfill`: one run for each span, in order, and the gain from training anew each time."""
