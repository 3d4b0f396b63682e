"""The page about a run: is the model good, why, and what is it made of; from what the other components wrote."""
