"""What is said of a component's failure; whole runs are in tests/e2e."""

import itertools
from pathlib import Path

import pytest

from pipeline.local import _explained, new_run_id
from schema.errors import DataError

LOG = Path("runs/toys/logs/1/run.log")


def raised(*errors: Exception) -> Exception:
    """The last of the errors, each raised from the one before."""
    for cause, error in itertools.pairwise(errors):
        error.__cause__ = cause
    return errors[-1]


def test_a_users_mistake_is_told_as_it_was_meant_whatever_it_was_wrapped_into():
    mistake = DataError("a.csv: line 3: age: expected a number, received 'x' [while running 'Convert']")
    wrapped = raised(mistake, RuntimeError("bundle failed"), ValueError("worker failed"))
    assert str(_explained("ExampleGen", wrapped, LOG)) == "a.csv: line 3: age: expected a number, received 'x'"


def test_a_mistake_that_another_error_followed():
    def fail() -> None:
        try:
            raise DataError("no rows")
        finally:
            raise OSError("while cleaning up")

    with pytest.raises(OSError, match="while cleaning up") as caught:
        fail()
    assert str(_explained("ExampleGen", caught.value, LOG)) == "no rows"


def test_any_other_error_is_one_line_and_where_to_find_the_rest():
    said = str(_explained("Transform", MemoryError("out of memory\nand much more\n"), LOG))
    assert said == f"Transform failed: MemoryError: out of memory\nThe log has more: {LOG}"
    assert str(_explained("Transform", KeyError(), LOG)).startswith("Transform failed: KeyError: \n")


def test_run_ids_sort_by_time_and_are_good_folder_names():
    ids = [new_run_id() for _ in range(3)]
    assert ids == sorted(ids)
    assert all(character.isalnum() or character == "." for character in ids[0])
