"""Digests of the contents of data files, kept so that a file that has not changed is not read again.

They are kept in the cache folder, by path; with each is what the file system said of the file: its size, its times and
its inode. A program can set a file's time of modification back, but not its time of change (`ctime`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from schema.fetching import cache_folder

_CACHE_FILE = "digests.json"
_SETTLED_NS = 2_000_000_000
"""A file that was changed so shortly before it was read may change again without its times telling."""

Digests = dict[str, dict[str, object]]


def file_digests(paths: Iterable[Path]) -> dict[Path, str]:
    """SHA-256 of each file's content."""
    known = _read()
    found: dict[Path, str] = {}
    changed: dict[Path, dict[str, object]] = {}
    for path in paths:
        entry, state = known.get(str(path)), _state(path)
        if entry and entry["state"] == state:
            found[path] = str(entry["digest"])
        else:
            changed[path] = {"state": state}
    if changed:
        now = time.time_ns()
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            for path, digest in zip(changed, threads.map(_digest, changed), strict=True):
                found[path] = digest
                changed[path]["digest"] = digest
        settled = {str(path): entry for path, entry in changed.items() if path.stat().st_ctime_ns + _SETTLED_NS < now}
        if settled:
            _write(known | settled)
    return found


def _state(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read() -> Digests:
    """What is kept; nothing, where that cannot be read or is no longer what was written."""
    try:
        kept = json.loads((cache_folder() / _CACHE_FILE).read_text(encoding="utf-8"))
        return {path: {"state": list(entry["state"]), "digest": str(entry["digest"])} for path, entry in kept.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write(digests: Digests) -> None:
    """Keeps the digests of files that are still there. Without a place for them, files are read again."""
    kept = {path: entry for path, entry in digests.items() if os.path.exists(path)}
    with contextlib.suppress(OSError):
        cache_folder().mkdir(parents=True, exist_ok=True)
        # Renamed, so that others see a whole file. Where two write at once, one's digests are found again later.
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=cache_folder(), delete=False) as file:
            json.dump(kept, file)
        os.replace(file.name, cache_folder() / _CACHE_FILE)
