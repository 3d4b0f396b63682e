"""Requests to running servers."""
