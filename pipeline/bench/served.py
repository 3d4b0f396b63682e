"""A server of one model, for benchmarks."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import portpicker

from pipeline.live.server import beside
from serving import load
from serving.channel import connect
from serving.client import Client
from serving.server.saved_model import SavedModel
from serving.server.servable import ServableId

TIMEOUT_S = 60.0
LOAD_TIMEOUT_S = 120.0


class Served:
    """A server of one model, of which further versions can be made; a context manager.

    Args:
        name: the model's name.
        pushed: the model's folder.
        folder: a folder for the server's files.
    """

    def __init__(self, name: str, pushed: Path, folder: Path) -> None:
        self.name = name
        self.pushed = pushed
        self.folder = folder
        self._base_path = folder / "models"
        self._base_path.mkdir()
        self._versions = 0

    def __enter__(self) -> Self:
        self.push()
        port = portpicker.pick_unused_port()
        target = f"127.0.0.1:{port}"
        flags = [f"--port={port}", f"--model_name={self.name}", f"--model_base_path={self._base_path}"]
        server = beside(self.folder / "log", "serving.server", *flags, "--file_system_poll_wait_seconds=0.1")
        with ExitStack() as starting:
            self._pid = starting.enter_context(server).pid
            self.client = starting.enter_context(Client(target, self.name))
            self.client.wait_until_available(LOAD_TIMEOUT_S)
            self.predict = starting.enter_context(connect(target)).unary_unary(load.PREDICT)
            self.call = functools.partial(self.predict, timeout=TIMEOUT_S)
            self._running = starting.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._running.close()

    def push(self) -> int:
        """Pushes the same model again as the next version, and removes all but the latest three."""
        self._versions += 1
        beside = self.folder / "pushing"
        shutil.copytree(self.pushed, beside, copy_function=os.link)
        beside.rename(self._base_path / str(self._versions))
        shutil.rmtree(self._base_path / str(self._versions - 3), ignore_errors=True)
        return self._versions

    def swap(self) -> None:
        """Pushes a version and waits until the server answers with it."""
        self.client.wait_until_available(LOAD_TIMEOUT_S, self.push())

    def mebibytes(self) -> int:
        """The memory that the server holds."""
        pages = int(Path(f"/proc/{self._pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") >> 20

    def most_mebibytes(self) -> int:
        """The most memory that the server held since it started, or since `forget_most`."""
        status = Path(f"/proc/{self._pid}/status").read_text().splitlines()
        kibibytes = next(line for line in status if line.startswith("VmHWM:")).split()[1]
        return int(kibibytes) >> 10

    def forget_most(self) -> None:
        """Lets `most_mebibytes` begin anew."""
        Path(f"/proc/{self._pid}/clear_refs").write_text("5")


@contextmanager
def loaded(name: str, pushed: Path) -> Iterator[SavedModel]:
    """The model without a server."""
    model = SavedModel(ServableId(name, 1), str(pushed))
    yield model
    model.close()
