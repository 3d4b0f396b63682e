"""Generates the parts of the reference that the code already states: keys, commands, flags.

Pages are written by hand, except for blocks between two comments, which this package fills.
"""
