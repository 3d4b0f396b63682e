"""Datasets by name or path: a folder with a `features.yaml`, and the files that it describes."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from schema import beside
from schema.errors import DataError, SpecError, listing, nearest
from schema.feature_spec import SPLITS, FeatureSpec, Split, load
from schema.fetching import fetched
from schema.inference import inspect
from schema.raw_file import ENDINGS, told_format
from schema.rows import DATE, placeholders
from schema.spans import Files, Spans, has_spans, matches

_HERE = Path(__file__).parent
_SPEC = "features.yaml"
_SCHEMA = "schema.pbtxt"


@dataclass(frozen=True)
class Dataset:
    """A dataset with local files and a resolved description.

    Attributes:
        name: the spec's name, by default that of its folder.
        path: the path of its `features.yaml`.
        folder: the folder of its `features.yaml`.
        spec: the spec, resolved against the columns of the files.
        base: the folder to which `source.files` is relative.
        files: the files of each split if they are given by split, else all files under "all".
        schema_path: the dataset's `schema.pbtxt`, if it has one.
        spans: all spans of the dataset, if its data comes in spans.
        window: the spans whose files are in `files`.
        remarks: oddities in the files that are not errors, a sentence each.
    """

    name: str
    path: Path
    folder: Path
    spec: FeatureSpec
    base: Path
    files: Files
    schema_path: Path | None
    spans: Spans | None = None
    window: Sequence[int] = ()
    remarks: Sequence[str] = ()

    def of_span(self, span: int) -> Dataset:
        """The dataset with the files of one span only, and the same description."""
        assert self.spans is not None, f"{self.name} has no spans"
        return replace(self, files=self.spans.files[span], window=(span,))


def available() -> list[tuple[str, str]]:
    """Names and descriptions of the datasets that come with Rankline."""
    return [(name, load(_HERE / name / _SPEC).description) for name in _names()]


def _names() -> list[str]:
    return sorted(path.parent.name for path in _HERE.glob(f"*/{_SPEC}"))


def spec_path(name_or_path: str | Path) -> Path:
    """The `features.yaml` of a dataset.

    Args:
        name_or_path: a dataset's name, a folder with a `features.yaml`, or the path of such a file.

    Raises:
        SpecError: the text is neither a known name nor such a path.
    """
    text = str(name_or_path)
    if text in _names():
        return _HERE / text / _SPEC
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path
    if (path / _SPEC).is_file():
        return path / _SPEC
    if path.is_dir():
        raise SpecError(f"{path}: expected a folder with a {_SPEC}, found none in it")
    raise SpecError(
        f"dataset: expected one of {listing(_names())}, or a folder with a {_SPEC}, "
        f"received {text!r}{nearest(text, _names())}"
    )


def served_name(name_or_path: str) -> str:
    """The name by which a dataset's model is served. Of a folder, its description is read, but no data file.

    Args:
        name_or_path: a dataset's name, its folder or the path of its `features.yaml`. The dataset of a name need not be
            on this machine.

    Raises:
        SpecError: there is no such folder, or its description has a mistake.
    """
    is_name = os.sep not in name_or_path and not Path(name_or_path).exists()
    return name_or_path if is_name else load(spec_path(name_or_path)).name


def find(name_or_path: str | Path, span: str | None = None, window: int = 1) -> Dataset:
    """Loads a dataset: fetches its files if necessary and completes its spec from their columns.

    Args:
        name_or_path: a dataset's name (see `available`), a folder with a `features.yaml`, or the path of such a file.
        span: the last span to read, for data that comes in spans: a date, a number, or `LATEST`; None reads all.
        window: the number of spans to read, up to and including `span`.

    Raises:
        SpecError: there is no such dataset, or its description has a mistake.
        DataError: the files are missing or unreadable.
    """
    path = spec_path(name_or_path)
    spec = load(path)
    folder = path.parent.resolve()
    base = fetched(spec.name, folder / spec.source.fetch) if spec.source.fetch else folder
    spans = _spans(spec, base, path)
    if spans is None:
        files, chosen = _files(spec, base, path), []
    else:
        chosen = list(spans.files) if span is None else spans.window(spans.number(span), window)
        files = _merged([spans.files[each] for each in chosen])
    schema = folder / _SCHEMA
    found = inspect(list(dict.fromkeys(file for paths in files.values() for file in paths)), spec)
    resolved = spec.resolve(found.columns, path, times=found.times, whole=found.whole, unused=found.unused)
    return Dataset(
        name=spec.name,
        path=path.resolve(),
        folder=folder,
        spec=resolved,
        base=base,
        files={key: tuple(file for file in paths if file not in found.empty) for key, paths in files.items()},
        schema_path=schema if schema.is_file() else None,
        spans=spans,
        window=tuple(chosen),
        remarks=[
            *found.remarks,
            *_taken_for_ours(spec, resolved, path),
            *beside.remarks(files, files if spans is None else _merged(spans.files.values()), base),
        ],
    )


def _taken_for_ours(spec: FeatureSpec, resolved: FeatureSpec, path: Path) -> list[str]:
    """A remark on columns that are left out because of their names."""
    names = [name for name in resolved.ignore if name.startswith("_") and name not in spec.ignore]
    if not names:
        return []
    return [
        f"{path}: not used: {listing(names)}, since a leading underscore marks Rankline's own names; rename the "
        "columns, or add them to 'ignore'"
    ]


def _spans(spec: FeatureSpec, base: Path, path: Path) -> Spans | None:
    """The spans that have files (files of every split if they are given by split); None for data without spans."""
    patterns = _patterns(spec)
    if not has_spans(next(iter(patterns.values()))):
        return None
    by_split = {key: matches(str(Path(pattern).expanduser()), base) for key, pattern in patterns.items()}
    files: dict[int, Files] = {}
    for span in sorted(set.intersection(*(set(found) for found in by_split.values()))):
        of_span = {
            key: tuple(file for pattern in found[span] for file in _found(spec, base, pattern))
            for key, found in by_split.items()
        }
        if all(of_span.values()):
            files[span] = of_span
    where = f"{path}: source.files"
    if not files:
        raise DataError(
            f"{where}: expected files of at least one span, received {listing(map(repr, patterns.values()))} in "
            f"{base}, where there are none"
        )
    return Spans(placeholders(next(iter(patterns.values()))) == DATE, files, where)


def _merged(spans: Iterable[Files]) -> Files:
    """The files of several spans."""
    merged: dict[Split | Literal["all"], Sequence[Path]] = {}
    for files in spans:
        for key, paths in files.items():
            merged[key] = (*merged.get(key, ()), *paths)
    return merged


def _files(spec: FeatureSpec, base: Path, path: Path) -> Files:
    return {
        key: _matching(spec, base, pattern, f"{path}: source.files" + (f".{key}" if key != "all" else ""))
        for key, pattern in _patterns(spec).items()
    }


def _patterns(spec: FeatureSpec) -> Mapping[Split | Literal["all"], str]:
    given = spec.source.files
    return {"all": given} if isinstance(given, str) else {split: given[split] for split in SPLITS if split in given}


def _matching(spec: FeatureSpec, base: Path, pattern: str, key: str) -> Sequence[Path]:
    """The data files that a path, folder or glob matches, in a fixed order.

    Raises:
        DataError: there is no such file, or the files have several formats.
    """
    files = _found(spec, base, pattern)
    if not files:
        place = f"{pattern!r} in {base}" if pattern else str(base)
        raise DataError(
            f"{key}: expected data files, whose names end in {listing(ENDINGS)} or whose format is said in "
            f"source.format, received {place}, where there are none"
        )
    formats = sorted({str(told_format(file)) for file in files})
    if spec.source.format is None and len(formats) > 1:
        raise DataError(f"{key}: expected files of one format, received {listing(formats)}; say source.files")
    return files


def _found(spec: FeatureSpec, base: Path, pattern: str) -> Sequence[Path]:
    path = base / Path(pattern).expanduser()
    if path.is_file():
        return (path,)
    found: Iterable[Path]
    if path.is_dir():
        found = path.rglob("*") if pattern else path.glob("*")
    else:
        pattern_here = str(Path(pattern).expanduser())
        found = (base / match for match in glob.glob(pattern_here, root_dir=base, recursive=True))
    any_name = pattern and spec.source.format
    # Files such as _SUCCESS and .part-0.crc, which writers leave beside the data, hold no rows.
    return tuple(
        sorted(
            file
            for file in found
            if file.is_file() and not file.name.startswith(("_", ".")) and (any_name or told_format(file))
        )
    )
