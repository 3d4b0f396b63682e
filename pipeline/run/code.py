"""The version of the code that a component's result depends on: changed code leads to a new result.

TFX only compares the class of an executor and module files. Rankline follows the imports of its own sources to any
depth. A caller of `code_version` adds the modules that only strings name.
"""

from __future__ import annotations

import functools
import hashlib
import sysconfig
from pathlib import Path

import grimp

_SOURCES = Path(__file__).parents[2]
_PACKAGES = ("pipeline", "components", "trainer", "schema", "serving")


def code_version(*modules: str) -> str:
    """A digest of some of Rankline's modules, of all of its modules that they import, and of the libraries' versions.

    Args:
        modules: their names, such as `components.evaluator`; a package stands for all of its modules.
    """
    digest = hashlib.sha256("\n".join(_libraries()).encode())
    for module in sorted({each for name in modules for each in _imported(name)}):
        path = _path(module)
        digest.update(path.relative_to(_SOURCES).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def _graph() -> grimp.ImportGraph:
    return grimp.build_graph(*_PACKAGES, cache_dir=None)


@functools.cache
def _imported(module: str) -> frozenset[str]:
    """A module, the modules in it if it is a package, and the modules that they import."""
    own = {module, *_graph().find_descendants(module)}
    return frozenset(own | {each for name in own for each in _graph().find_upstream_modules(name)})


def _path(module: str) -> Path:
    path = _SOURCES.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@functools.cache
def _libraries() -> list[str]:
    """The names and versions of all libraries in the environment, as their metadata folders have them."""
    folders = Path(sysconfig.get_path("purelib")).glob("*.dist-info")
    return sorted(folder.name for folder in folders if not folder.name.startswith("rankline-"))
