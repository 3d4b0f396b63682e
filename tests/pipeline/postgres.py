"""A PostgreSQL server for a test, from this machine's own binaries."""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import portpicker
import pytest

PASSWORD = "not-to-be-told"  # noqa: S105 (of a server that lives as long as a test)
TIMEOUT_S = 60.0


def _binaries() -> Path:
    """Debian keeps them from the path."""
    for folder in [*sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True), shutil.which("initdb")]:
        if folder:
            return Path(folder) if Path(folder).is_dir() else Path(folder).parent
    pytest.skip("no PostgreSQL here: apt-get install postgresql")


@contextlib.contextmanager
def postgres() -> Iterator[int]:
    """A server with an empty store.

    Yields:
        Its port, where the user rankline logs in with `PASSWORD`.
    """
    binaries = _binaries()
    # It refuses to run as root.
    other = "nobody" if os.getuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="rankline-postgres-"))
    try:
        (folder / "password").write_text(PASSWORD)
        if other:
            for path in (folder, folder / "password"):
                os.chown(path, pwd.getpwnam(other).pw_uid, -1)
        data = str(folder / "data")
        options = ["-U", "rankline", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "--no-sync"]
        subprocess.run(
            [binaries / "initdb", "-D", data, *options], user=other, cwd=folder, check=True, capture_output=True
        )
        port = portpicker.pick_unused_port()
        settings = ["-p", str(port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        with (
            (folder / "log").open("wb") as log,
            subprocess.Popen(
                [binaries / "postgres", "-D", data, *settings], user=other, cwd=folder, stdout=log, stderr=log
            ) as server,
        ):
            try:
                _wait(binaries, port, server)
                yield port
            finally:
                server.send_signal(signal.SIGINT)  # does not wait for clients to leave
    finally:
        shutil.rmtree(folder)


def _wait(binaries: Path, port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    ready = [binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    while subprocess.run(ready, check=False).returncode != 0:
        assert server.poll() is None, "PostgreSQL has ended"
        assert time.monotonic() < deadline, "PostgreSQL does not answer"
        time.sleep(0.05)
