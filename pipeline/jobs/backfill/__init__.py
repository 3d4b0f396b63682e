"""`rankline backfill`: one run for each span, in their order, and what it is worth to train anew each time."""
