"""Data that comes in spans, such as a file for each day: existing and missing spans, and the window that a run reads.

Placeholders and numbers follow TFX: `{SPAN}` stands for a number, and `{YYYY}`, `{MM}` and `{DD}` for a date, whose
number is the days since 1970-01-01.
"""

from __future__ import annotations

import datetime
import glob
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from schema.errors import DataError, SpecError, listing
from schema.rows import DATE, NUMBER, Split, placeholders

LATEST = "latest"
"""The name of the last span."""

Files = Mapping[Split | Literal["all"], Sequence[Path]]
"""The files of each split if they are given by split, else all files under "all"."""

_EPOCH = datetime.date(1970, 1, 1)
_WILDCARDS = {"**/": "(?:.*/)?", "*": "[^/]*?", "?": "[^/]"}
_DIGITS = {"SPAN": r"\d+", "YYYY": r"\d{4}", "MM": r"\d{2}", "DD": r"\d{2}"}
_SPECIAL = re.compile(r"(\*\*/|\*|\?|\{\w+\})")


@dataclass(frozen=True)
class Spans:
    """The spans of a dataset whose data comes in spans.

    Attributes:
        dated: whether spans are days; else they are numbered.
        files: span -> its files, the earliest span first.
        where: the place in the description that names the files, for error messages.
    """

    dated: bool
    files: Mapping[int, Files]
    where: str

    @property
    def latest(self) -> int:
        """The last span."""
        return max(self.files)

    def name(self, span: int) -> str:
        """The name of a span: a date or a number."""
        return str(_EPOCH + datetime.timedelta(span)) if self.dated else str(span)

    def names(self, spans: Iterable[int]) -> list[str]:
        """The names of spans."""
        return [self.name(span) for span in spans]

    def number(self, text: str) -> int:
        """The span with a name, whether or not it has files.

        Raises:
            SpecError: the text is neither `LATEST` nor a date or a number, whichever the dataset has.
        """
        if text == LATEST:
            return self.latest
        try:
            return (datetime.date.fromisoformat(text) - _EPOCH).days if self.dated else int(text)
        except ValueError:
            kind = "a date such as 2026-11-27" if self.dated else "a whole number"
            raise SpecError(f"span: expected {kind}, or {LATEST}, received {text!r}") from None

    def summary(self) -> str:
        """A sentence with the number of spans, the first, the last, and the missing ones."""
        first, last = self.name(min(self.files)), self.name(self.latest)
        missing = self.names(self.missing(min(self.files), self.latest))
        rest = f"; {len(missing):,} missing between: {listing(missing)}" if missing else ", none missing between"
        return f"{len(self.files):,} spans from {first} to {last}{rest}"

    def window(self, last: int, length: int) -> list[int]:
        """The existing ones of the `length` spans up to and including `last`.

        Raises:
            DataError: `last` has no files.
        """
        if last not in self.files:
            raise DataError(
                f"{self.where}: expected files of span {self.name(last)}, found none; "
                f"there are {listing(self.names(sorted(self.files)[-5:]))}"
            )
        return [span for span in range(last - length + 1, last + 1) if span in self.files]

    def missing(self, first: int, last: int) -> list[int]:
        """The spans from `first` to before `last` that have no files. Spans before the dataset's first do not count."""
        return [span for span in range(max(first, min(self.files)), last) if span not in self.files]

    def before(self, span: int) -> int | None:
        """The existing span before a span, if there is one."""
        return max((other for other in self.files if other < span), default=None)


def has_spans(pattern: str) -> bool:
    """Whether a path has placeholders for spans."""
    return bool(placeholders(pattern))


def matches(pattern: str, base: Path) -> Mapping[int, list[str]]:
    """Span -> the patterns that result from filling in its number or date, the earliest span first.

    Args:
        pattern: a path, a folder or a glob with placeholders.
        base: the folder to which it is relative.
    """
    parts = Path(pattern).parts
    depth = max(place for place, part in enumerate(parts) if has_spans(part)) + 1
    head, rest = str(Path(*parts[:depth])), parts[depth:]
    regex = re.compile(_regex(head))
    found: dict[int, list[str]] = {}
    for name in sorted(glob.glob(_SPECIAL.sub(_as_glob, head), root_dir=base, recursive=True)):
        match = regex.fullmatch(name)
        span = _span(match.groupdict()) if match else None
        if span is not None:
            found.setdefault(span, []).append(str(Path(glob.escape(name), *rest)))
    return dict(sorted(found.items()))


def _as_glob(special: re.Match[str]) -> str:
    return "*" if has_spans(special[0]) else special[0]


def _regex(head: str) -> str:
    """A regular expression for paths that match a pattern. A repeated placeholder must match the same text."""
    pieces, seen = [], set()
    for piece in _SPECIAL.split(head):
        name = piece[1:-1]
        if not has_spans(piece):
            pieces.append(_WILDCARDS.get(piece, re.escape(piece)))
        else:
            pieces.append(f"(?P={name})" if name in seen else f"(?P<{name}>{_DIGITS[name]})")
            seen.add(name)
    return "".join(pieces)


def _span(digits: Mapping[str, str]) -> int | None:
    """The span of matched digits; None if they are not a date, such as February 30."""
    if set(digits) == NUMBER:
        return int(digits["SPAN"])
    assert set(digits) == DATE, "the feature spec lets no other placeholders pass"
    try:
        return (datetime.date(int(digits["YYYY"]), int(digits["MM"]), int(digits["DD"])) - _EPOCH).days
    except ValueError:
        return None
