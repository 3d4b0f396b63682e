"""Servers that run, and what is asked of them."""
