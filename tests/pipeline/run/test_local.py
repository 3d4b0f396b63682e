"""The messages about a component's failure; tests/e2e has whole runs."""

import shutil
import tempfile
from pathlib import Path

import pytest

from pipeline.run.local import _explained, new_run_id
from schema.errors import DataError

LOG = Path(tempfile.gettempdir()) / "run.log"


def test_a_users_mistake_is_told_as_it_is():
    assert str(_explained("ExampleGen", DataError("no rows"), LOG)) == "no rows"


def test_any_other_error_is_one_line_and_where_to_find_the_rest():
    said = str(_explained("Transform", MemoryError("out of memory\nand much more\n"), LOG))
    assert said == f"Transform failed: MemoryError: out of memory\nThe log has more: {LOG}"
    assert str(_explained("Transform", KeyError(), LOG)).startswith("Transform failed: KeyError: \n")


@pytest.mark.parametrize(
    "said",
    [
        "[Errno 28] No space left on device: '/runs/x'",
        "{{node SaveV2}} /runs/work/ckpt-1.data.tempstate5; No space left on device [Op:SaveV2]",
        "Error when executing query: database or disk is full query: COMMIT;",
        "[Errno 122] Disk quota exceeded",
    ],
)
def test_a_full_disk_is_named_with_what_to_do(said):
    assert str(_explained("Trainer", RuntimeError(said), LOG)) == (
        f"Trainer: expected room on the disk, received none: {said}\n"
        "Make some, and run the same command again: it goes on with Trainer.\n"
        f"The log has more: {LOG}"
    )


def test_run_ids_sort_by_time_and_are_good_folder_names():
    ids = [new_run_id() for _ in range(3)]
    assert ids == sorted(ids)
    assert all(character.isalnum() or character == "." for character in ids[0])


def test_a_full_disk_is_found_out_where_the_error_does_not_say_so(monkeypatch):
    """As SQLite's, of a transaction that it has rolled back for want of room."""
    usage = shutil.disk_usage(LOG.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=4096))
    said = "Error when executing query: cannot commit - no transaction is active query: COMMIT;"
    assert f"ExampleGen: expected room on the disk, received none: {said}" in str(
        _explained("ExampleGen", RuntimeError(said), LOG)
    )
