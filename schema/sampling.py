"""How much of a file is looked at to tell what its columns hold."""

from __future__ import annotations

_FILES = 16
"""So many files are looked at as if each was the only one; of more files, less of each."""
_LEAST = 1 / 32


def sample_size(usual: int, share: float) -> int:
    """The size of a sample.

    Args:
        usual: of a sample of one file, in rows or bytes.
        share: of this file in all, by number.
    """
    return int(usual * max(min(1.0, _FILES * share), _LEAST))
