"""Writes those parts of the reference that the code already says: keys, commands, flags.

A page is written by hand, but for blocks between two comments, which this package fills.
"""
