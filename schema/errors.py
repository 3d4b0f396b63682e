"""The one kind of error that a user's mistake leads to, and how it is worded."""

from __future__ import annotations

import contextlib
import difflib
import errno
from collections.abc import Iterable, Iterator

from schema.names import shown

_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO)


class RanklineError(Exception):
    """Something the user can mend: a message for people, printed without a stack trace."""


class SpecError(RanklineError):
    """A dataset's description contradicts itself or the files it describes."""


class DataError(RanklineError):
    """A file holds something else than its description says."""


def closest(name: str, known: Iterable[str]) -> str | None:
    """The one of `known` that `name` was probably meant to be."""
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
    """Says what the disk objects to, for which no line of ours is to blame.

    Raises:
        RanklineError: it is full, or a file cannot be read or written.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _OF_THE_DISK:
            raise
        raise RanklineError(f"{error.filename or 'the disk'}: {error.strerror}") from error
