"""The sides of the training benchmark: modules that run as processes, each in its own environment."""
