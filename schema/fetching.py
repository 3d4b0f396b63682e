"""Fetches data once and caches it in `$RANKLINE_CACHE`, else in the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import cast

from schema.errors import DataError, SpecError


def cache_folder() -> Path:
    """The folder in which fetched data is cached."""
    if chosen := os.environ.get("RANKLINE_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rankline"


def fetched(name: str, source: Path) -> Path:
    """The folder that a dataset's `fetch` function fills. The function is called if there is no such folder yet.

    Args:
        name: the name of the dataset.
        source: a Python file with `fetch(folder: Path) -> None`. The folder depends on the contents of this file, so
            the data is fetched again if the file changes.

    Raises:
        SpecError: the file does not exist or has no `fetch`.
        DataError: `fetch` raises it because the data is not available.
    """
    if not source.is_file():
        raise SpecError(f"{source}: expected a Python file with fetch(folder), found none")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    return kept(f"{name}-{digest}", lambda folder: _fetch_function(source)(folder))


def kept(name: str, fill: Callable[[Path], None]) -> Path:
    """A folder in the cache, which is filled if it does not exist.

    Args:
        name: the name of the folder, which identifies its contents.
        fill: writes the contents into the folder that it is given.
    """
    folder = cache_folder() / name
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            fill(work)
            # The rename makes the folder appear complete or not at all. If another process was faster, its folder has
            # the same contents.
            if not folder.is_dir():
                work.rename(folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return folder


def _fetch_function(source: Path) -> Callable[[Path], None]:
    module = ModuleType(f"source_of_{source.parent.name}")
    SourceFileLoader(module.__name__, str(source)).exec_module(module)
    fetch = getattr(module, "fetch", None)
    if not callable(fetch):
        raise SpecError(f"{source}: expected a function fetch(folder: Path) -> None, found none")
    return cast(Callable[[Path], None], fetch)


@contextmanager
def package_file(requirement: str, sha256: str) -> Iterator[Path]:
    """Downloads the distribution file of a Python package that contains data. Nothing is installed.

    Args:
        requirement: a pinned requirement such as `recbole==1.2.1`.
        sha256: the SHA-256 of the wheel or source archive; a file with another digest is refused.

    Yields:
        The path of the file, which is removed at the end of the context.

    Raises:
        DataError: the file is not available; the message says how to provide it by hand.
    """
    with tempfile.TemporaryDirectory(prefix="rankline-") as name:
        folder = Path(name)
        requirements = folder / "requirements.txt"
        requirements.write_text(f"{requirement} --hash=sha256:{sha256}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        command += ["--disable-pip-version-check", "--dest", name, "--requirement", str(requirements)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        files = [path for path in folder.iterdir() if path != requirements]
        if done.returncode or len(files) != 1:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
            reason = errors[0].removeprefix("ERROR: ") if errors else f"pip's exit code {done.returncode}"
            raise DataError(
                f"{requirement}: expected its file with the SHA-256 {sha256} from the package index, "
                f"received: {reason.rstrip('.')}. To provide it by hand, put that file into a folder and set "
                "PIP_FIND_LINKS to the folder's path"
            )
        yield files[0]
