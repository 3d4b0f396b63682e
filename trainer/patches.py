"""Temporary replacements for parts of libraries that have no option for a different behaviour."""

from __future__ import annotations

import contextlib
import importlib.metadata
from collections.abc import Iterator, Mapping
from typing import Any
from unittest import mock

from schema.errors import RanklineError

WRITTEN_FOR: Mapping[str, str] = {"tfx": "1.21", "tensorflow-transform": "1.21"}
"""The version of each library whose parts are replaced. Other versions may lack these parts or use them differently."""


@contextlib.contextmanager
def replaced(owner: Any, name: str, by: Any, library: str) -> Iterator[None]:
    """Replaces an attribute of a library's module inside the block.

    Args:
        owner: the module.
        name: the attribute's name.
        by: the replacement.
        library: the module's library, one of `WRITTEN_FOR`.

    Raises:
        RanklineError: the library's version is not the one in `WRITTEN_FOR`.
    """
    expected, received = WRITTEN_FOR[library], importlib.metadata.version(library)
    if received.split(".")[:2] != expected.split("."):
        raise RanklineError(
            f"{library}: expected version {expected}, of which {owner.__name__}.{name} is replaced, received "
            f"{received}; install the versions in requirements.lock"
        )
    with mock.patch.object(owner, name, by):
        yield
