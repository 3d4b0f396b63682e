"""What an artifact's files were when it was made, so that it can be told later whether they still are that."""

from __future__ import annotations

import hashlib
import os

from tfx import types
from tfx.dsl.io import fileio

DIGEST_PROPERTY = "digest"
"""Custom property of an artifact: `digest_of` its folder when it was made."""

_CHUNK_BYTES = 1 << 20


def digest_of(folder: str) -> str:
    """SHA-256 of the names and contents of all files in a folder; of no file, where there is no such folder."""
    paths = sorted(os.path.join(parent, name) for parent, _, names in fileio.walk(folder) for name in names)
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{os.path.relpath(path, folder)}\0{_digest_of_file(path)}\n".encode())
    return digest.hexdigest()


def is_intact(artifact: types.Artifact) -> bool:
    """Whether an artifact's files are those that it was made with; one that has no digest is taken as it is."""
    digest = artifact.get_string_custom_property(DIGEST_PROPERTY)
    return not digest or digest_of(artifact.uri) == digest


def _digest_of_file(path: str) -> str:
    digest = hashlib.sha256()
    with fileio.open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
