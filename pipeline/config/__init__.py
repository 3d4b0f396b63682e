"""The sections of a run's configuration."""
