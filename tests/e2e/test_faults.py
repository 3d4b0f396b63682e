"""Runs on a disk that is full or may not be written to, or in a root that another run is using."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.run.layout import Layout
from pipeline.run.lock import locked
from tests.e2e.conftest import SETTINGS, Root, Stranger
from tests.forking import started_rankline
from tests.pipeline.consistency import check_metadata

SMALL = "64k"
STEP_KB = 400


@dataclass(frozen=True)
class Disk:
    """A small disk of a test's own."""

    path: Path

    def remount(self, options: str) -> None:
        subprocess.run([shutil.which("mount") or "", "-o", f"remount,{options}", self.path], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path, mount, umount = tmp_path / "disk", shutil.which("mount"), shutil.which("umount")
    if not (mount and umount):
        pytest.skip("no `mount` here")
    path.mkdir()
    mounted = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={SMALL}", "rankline-test", path],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no disk may be mounted here: {mounted.stderr.strip()}")
    try:
        yield Disk(path)
    finally:
        subprocess.run([umount, path], check=True)


def on(disk: Disk, tmp_path: Path, name: str = "stranger") -> Stranger:
    """The dataset, and the root of its runs on that disk, of which there is none yet."""
    stranger = Stranger(tmp_path / name, Root(disk.path / "runs", name, ()))
    stranger.copy(stranger.folder)
    return stranger


def ran(stranger: Stranger) -> tuple[int | None, str]:
    """Runs it; gives the exit status, and what was said."""
    run, output = started_rankline(*stranger.arguments)
    with output:
        said = output.read()
    run.join()
    return run.exitcode, said


def test_a_full_disk_is_named_with_what_to_do(disk, tmp_path, rankline):
    done = rankline(*on(disk, tmp_path).arguments)
    assert done.returncode == 1
    first, second, third = done.stderr.splitlines()
    assert first.startswith("Error: ExampleGen: expected room on the disk, received none: ")
    assert second == "Make some, and run the same command again: it goes on with ExampleGen."
    assert third.startswith(f"The log has more: {disk.path}/runs/stranger/logs/")


@pytest.mark.long
def test_whenever_the_disk_gets_full_the_run_goes_on_once_there_is_room(disk, tmp_path):
    """It grows a little whenever a run has filled it, until one comes to its end."""
    stranger = on(disk, tmp_path)
    stopped_by: list[str] = []
    for size in range(STEP_KB, 20 * STEP_KB, STEP_KB):
        disk.remount(f"size={size}k")
        status, said = ran(stranger)
        if status == 0:
            break
        assert status == 1, said
        error = said[said.index("Error: ") :]
        assert "Traceback" not in error
        assert any(words in error for words in ("expected room on the disk", "No space left on device")), error
        stopped_by.append(error.split(": ")[1])
        check_metadata(stranger.root.path / "metadata.sqlite", len(stopped_by))
        serving = stranger.root.serving
        pushed = [path for path in serving.glob("*") if path.name.isdigit()]
        assert pushed == [] or stopped_by[-1] in ("Pusher", "Report")
    assert {"ExampleGen", "Trainer"} <= set(stopped_by)
    check_metadata(stranger.root.path / "metadata.sqlite", len(stopped_by))
    (version,) = stranger.root.versions()
    assert version.isdigit()


def test_a_root_that_may_not_be_written_to(disk, stranger, rankline):
    root = disk.path / "runs"
    disk.remount("size=10m")
    root.mkdir()
    shutil.copy(stranger.root.path / "metadata.sqlite", root)
    disk.remount("ro")
    done = rankline("run", "-d", str(stranger.folder), "--root", str(root), "--no-serve")
    assert done.returncode == 1
    assert done.stdout == ""
    expected = "expected a folder that can be written to: Read-only file system"
    assert done.stderr.startswith(f"Error: {root}/stranger/logs/")
    assert done.stderr.endswith(f": {expected}\n")

    listed = rankline("runs", "--root", str(root))
    assert listed.returncode == 0
    assert stranger.root.versions()[0] in listed.stdout


def test_a_second_run_at_once_is_refused_and_the_first_is_left_alone(stranger, rankline):
    before = stranger.root.versions()
    with locked(Layout(stranger.root.path, "stranger"), "the first"):
        done = rankline(*stranger.arguments)
    assert done.returncode == 1
    assert done.stderr == (
        f"Error: {stranger.root.path}/stranger: expected no other run on stranger in this root, received run the first "
        f"of process {os.getpid()}; wait for its end, or choose another --root\n"
    )
    assert stranger.root.versions() == before


@pytest.mark.long
def test_runs_on_two_datasets_share_a_root(tmp_path):
    """They write to one metadata store at once."""
    root = tmp_path / "runs"
    strangers = [Stranger(tmp_path / name, Root(root, name, ()), settings=SETTINGS[:2]) for name in ("one", "other")]
    for each in strangers:
        each.copy(each.folder, f"name: {each.root.dataset}\n" + each.description.replace("name: stranger\n", ""))
    runs = [started_rankline(*each.arguments) for each in strangers]
    for run, output in runs:
        with output:
            said = output.read()
        run.join()
        assert run.exitcode == 0, said
    check_metadata(root / "metadata.sqlite", 0)
