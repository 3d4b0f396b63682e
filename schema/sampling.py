"""The size of the samples from which the types of columns are inferred."""

from __future__ import annotations

_FILES = 16
"""The number of files up to which each sample has its full size; with more files, samples are smaller."""
_LEAST = 1 / 32


def sample_size(usual: int, share: float) -> int:
    """The size of a sample.

    Args:
        usual: the full size of a sample, in rows or bytes.
        share: this file's share of all files, by their number.
    """
    return int(usual * max(min(1.0, _FILES * share), _LEAST))
