"""Allows one run at a time on a dataset: two would push over each other and share one training's checkpoints."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from pipeline.run.layout import Layout
from schema.errors import RanklineError


@contextlib.contextmanager
def locked(layout: Layout, run_id: str) -> Iterator[None]:
    """Keeps other runs on a dataset out of the same root until the block is left.

    The lock is the kernel's lock on a file, so it ends with the process that holds it, however that ends.

    Args:
        layout: the layout of the dataset's runs.
        run_id: the name of this run, which other runs show in their error.

    Raises:
        RanklineError: another run has the lock.
    """
    layout.lock.parent.mkdir(parents=True, exist_ok=True)
    with layout.lock.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise RanklineError(
                f"{layout.lock.parent}: expected no other run on {layout.dataset} in this root, received "
                f"{file.read().strip() or 'one that is starting'}; wait for its end, or choose another --root"
            ) from None
        file.truncate(0)
        file.write(f"run {run_id} of process {os.getpid()}\n")
        file.flush()
        yield
