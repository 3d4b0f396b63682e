"""Finds data files beside a dataset's that its pattern misses, and files that it takes twice."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from schema.errors import listing
from schema.file_digests import file_digests
from schema.raw_file import ENDINGS
from schema.spans import Files

_FORMATS = "|".join([*map(re.escape, ENDINGS), r"\.jsonl", r"\.orc", r"\.avro", r"\.xlsx?", r"/part-\d[^.]*"])
_DATA = re.compile(rf"({_FORMATS})(\.(gz|zip|bz2|zst|xz|snappy|lz4))?$", re.IGNORECASE)
"""Names of data files, in supported formats and in others."""
_PARTITION = re.compile(r"[^/=]+=[^/]+")
_MOST_FILES = 10_000
_HEAD_BYTES = 1 << 16
_SHOWN = 5


def remarks(files: Files, known: Files, base: Path) -> list[str]:
    """Oddities in the places of files, a sentence each.

    Args:
        files: the files that are read.
        known: all files of the dataset, of every span.
        base: the dataset's folder.
    """
    paths = [path for several in files.values() for path in several]
    found = []
    if unread := _unread([path for several in known.values() for path in several], base):
        found.append(f"not read: {listing(unread, _SHOWN)}; see source.files if they hold rows of this dataset")
    found += [
        f"{path} is in {listing(splits)}, so that the same rows train and judge the model"
        for path, splits in _shared(files).items()
        if len(splits) > 1
    ]
    for same in _equal(paths):
        found.append(f"{listing(map(str, same), _SHOWN)} have equal contents, so that their rows count repeatedly")
    inside = [path.relative_to(base).parent for path in paths if path.is_relative_to(base)]
    partitions = sorted({part for folder in inside for part in folder.parts if _PARTITION.fullmatch(part)})
    if partitions:
        found.append(
            f"folders such as {listing(partitions, 2)} are not columns: write the values in their names into the files"
        )
    return found


def _shared(files: Files) -> dict[Path, list[str]]:
    """File -> the splits that it is in."""
    splits: dict[Path, list[str]] = defaultdict(list)
    for split, paths in files.items():
        for path in paths:
            splits[path].append(split)
    return splits


def _unread(paths: Sequence[Path], base: Path) -> list[str]:
    """Data files that are not read, in the folders of those that are, and in the folders below the dataset's own."""
    folders = {path.parent for path in paths if path.is_relative_to(base)}
    if base in folders:
        folders |= {path for path in base.iterdir() if path.is_dir() and not path.name.startswith(".")}
    taken = set(paths)
    candidates = (each for folder in sorted(folders) for each in sorted(folder.iterdir()))
    names = (each for each in candidates if each not in taken and _DATA.search(f"/{each.name}") and each.is_file())
    return [str(each.relative_to(base)) for each in names]


def _equal(paths: Iterable[Path]) -> list[list[Path]]:
    """Groups of files with equal contents. Only files of equal size and beginning are read to their end."""
    same = [sorted(set(paths))[:_MOST_FILES]]
    steps: tuple[Callable[[Iterable[Path]], Mapping[Path, object]], ...] = (_sizes, _heads, file_digests)
    for step in steps:
        told = step([path for several in same for path in several])
        groups: list[list[Path]] = []
        for several in same:
            found: dict[object, list[Path]] = defaultdict(list)
            for path in several:
                found[told[path]].append(path)
            groups += [group for group in found.values() if len(group) > 1]
        same = groups
    return [several for several in same if several[0].stat().st_size]


def _sizes(paths: Iterable[Path]) -> Mapping[Path, object]:
    return {path: path.stat().st_size for path in paths}


def _heads(paths: Iterable[Path]) -> Mapping[Path, object]:
    """Hashes of the beginnings, which are too long to be kept of many files."""
    return {path: hash(_head(path)) for path in paths}


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)
