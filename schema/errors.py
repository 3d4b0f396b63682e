"""Exceptions for errors that a user can correct, and helpers for their messages."""

from __future__ import annotations

import contextlib
import difflib
import errno
from collections.abc import Iterable, Iterator

from schema.names import shown

_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO)


class RanklineError(Exception):
    """An error that the user can correct. The command line prints its message without a stack trace."""


class SpecError(RanklineError):
    """A dataset's description contradicts itself or the files it describes."""


class DataError(RanklineError):
    """A data file contradicts its description, is damaged, or is missing."""


def closest(name: str, known: Iterable[str]) -> str | None:
    """The member of `known` that `name` is probably a misspelling of, if any."""
    matches = difflib.get_close_matches(name, list(known), n=1)
    return matches[0] if matches else None


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'age'?` for a near miss among `known`, else an empty string."""
    match = closest(name, known)
    return f"; did you mean {match!r}?" if match else ""


def listing(names: Iterable[str], limit: int = 12) -> str:
    """Names for an error message, in their order, cut after `limit`."""
    names = [shown(name) for name in names]
    cut = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + cut


@contextlib.contextmanager
def disk_errors() -> Iterator[None]:
    """Turns errors of the file system into messages for the user.

    Raises:
        RanklineError: the disk is full, or a file cannot be read or written.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _OF_THE_DISK:
            raise
        raise RanklineError(f"{error.filename or 'the disk'}: {error.strerror}") from error
