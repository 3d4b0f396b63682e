"""The sides of the training benchmark: one module each, run as a process of its own, in its own environment."""
