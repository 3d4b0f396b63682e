"""The tests, as a package, so that no library's own package named `tests` comes before it."""
