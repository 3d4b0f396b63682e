"""Where the pipeline runs besides this machine."""
