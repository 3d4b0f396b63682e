"""Parts of libraries that are replaced while they work, since they cannot be told to do otherwise."""

from __future__ import annotations

import contextlib
import importlib.metadata
from collections.abc import Iterator, Mapping
from typing import Any
from unittest import mock

from schema.errors import RanklineError

WRITTEN_FOR: Mapping[str, str] = {"tfx": "1.21", "tensorflow-transform": "1.21"}
"""Library -> the version whose parts are replaced. Another one may have no such part, or use it otherwise."""


@contextlib.contextmanager
def replaced(owner: Any, name: str, by: Any, library: str) -> Iterator[None]:
    """Replaces an attribute of a library's module meanwhile.

    Args:
        owner: the module.
        name: of the attribute.
        by: what takes its place.
        library: that the module is of, one of `WRITTEN_FOR`.

    Raises:
        RanklineError: the library has another version than the one that this was written for.
    """
    expected, received = WRITTEN_FOR[library], importlib.metadata.version(library)
    if received.split(".")[:2] != expected.split("."):
        raise RanklineError(
            f"{library}: expected version {expected}, of which {owner.__name__}.{name} is replaced, received "
            f"{received}; install the versions in requirements.lock"
        )
    with mock.patch.object(owner, name, by):
        yield
