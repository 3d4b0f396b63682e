"""Fetches the jars of Flink and of Beam's job server from Maven's repositories, each with a known SHA-256."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from schema.errors import DataError, RanklineError, listing
from schema.fetching import kept

_POM = Path(__file__).with_name("pom.xml")
_LOCK = Path(__file__).with_name("jars.sha256")
"""The digests of the jars of `_POM`, as `sha256sum` writes them."""


def jars() -> Path:
    """The folder with the jars, which are fetched if they are missing.

    Raises:
        RanklineError: there is no Maven, or it cannot fetch the jars.
        DataError: Maven has fetched other files.
    """
    return kept(f"flink-{hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:12]}", _fetch)


def _fetch(folder: Path) -> None:
    maven = shutil.which("mvn")
    if not maven:
        raise RanklineError("expected Maven (mvn) on the path, by which Flink is fetched, found none: install maven")
    command = [maven, "--batch-mode", "--quiet", "--file", str(_POM), "dependency:copy-dependencies"]
    done = subprocess.run([*command, f"-DoutputDirectory={folder}"], capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stdout.splitlines() if line.startswith("[ERROR] ")]
        reason = errors[0].removeprefix("[ERROR] ") if errors else f"Maven's exit code {done.returncode}"
        raise RanklineError(f"expected the jars of {_POM.name} from Maven, received: {reason}")
    check(folder, _LOCK)


def check(folder: Path, lock: Path) -> None:
    """Compares files with a list.

    Args:
        folder: the folder of the files.
        lock: the file of their digests, as `sha256sum` writes it.

    Raises:
        DataError: a file is missing, has another digest, or is not in the list.
    """
    expected = {name: digest for digest, name in (line.split() for line in lock.read_text().splitlines())}
    received = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    if wrong := sorted(name for name in expected.keys() | received.keys() if expected.get(name) != received.get(name)):
        raise DataError(f"expected the files of {lock.name} with their SHA-256, received other ones: {listing(wrong)}")
