"""Other platforms on which the pipeline runs."""
