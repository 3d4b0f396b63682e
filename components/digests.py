"""Digests of artifacts' files, which show later whether the files have changed."""

from __future__ import annotations

import hashlib
import os

from tfx import types
from tfx.dsl.io import fileio

DIGEST_PROPERTY = "digest"
"""The custom property of an artifact that holds the `digest_of` its folder at the time it was written."""

_CHUNK_BYTES = 1 << 20


def digest_of(folder: str) -> str:
    """The SHA-256, in hex, of the names and contents of all files in a folder. A missing folder counts as empty."""
    paths = sorted(os.path.join(parent, name) for parent, _, names in fileio.walk(folder) for name in names)
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{os.path.relpath(path, folder)}\0{_digest_of_file(path)}\n".encode())
    return digest.hexdigest()


def is_intact(artifact: types.Artifact) -> bool:
    """Whether an artifact's files are unchanged. An artifact without a digest counts as intact."""
    digest = artifact.get_string_custom_property(DIGEST_PROPERTY)
    return not digest or digest_of(artifact.uri) == digest


def _digest_of_file(path: str) -> str:
    digest = hashlib.sha256()
    with fileio.open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
