"""Checks that Python finds Rankline's own packages by their names.

Their names are plain, so other packages may have the same ones.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("pipeline", "components", "trainer", "schema", "serving")
_FOLDER = Path(__file__).resolve().parent.parent


def check() -> None:
    """Looks for each package without importing it.

    Raises:
        RanklineError: a package is missing, or another package has its name.
    """
    for name in PACKAGES:
        found, ours = _found(name), _FOLDER / name / "__init__.py"
        if found is None or found.resolve() != ours.resolve():
            raise _error()(
                f"{name}: expected Rankline's own package, {ours}, received {found or 'none'}, which is in its way; "
                "install Rankline into an environment of its own, without that on PYTHONPATH or in the folder that "
                "Python is started in"
            )


def _found(name: str) -> Path | None:
    """The file that `import` would run or has run, if any."""
    try:
        spec = find_spec(name)
    except ValueError:  # it was put into sys.modules by hand
        spec = None
    return Path(spec.origin) if spec and spec.origin else None


def _error() -> type[Exception]:
    """`RanklineError`, even if another package hides the one that defines it."""
    others = {name: sys.modules.pop(name) for name in [*sys.modules] if name.partition(".")[0] == "schema"}
    sys.path.insert(0, str(_FOLDER))
    try:
        error: type[Exception] = importlib.import_module("schema.errors").RanklineError
    finally:
        sys.path.remove(str(_FOLDER))
        for name in [name for name in sys.modules if name.partition(".")[0] == "schema"]:
            del sys.modules[name]
        sys.modules.update(others)
    return error
