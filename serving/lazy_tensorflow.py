"""Allows parts of TensorFlow to be imported without the whole library.

Importing a submodule runs the package's `__init__` first. TensorFlow's `__init__` imports the whole public API and
Keras, which takes five seconds and 700 MB. The protocol messages for a client take only a tenth of a second, and the
session for a server one second. `install` puts a stand-in for the package into `sys.modules`, which runs `__init__` at
the first use of the public API (`tf.constant`).
"""

import functools
import sys
import threading
import types
from collections.abc import Callable
from importlib import machinery, util
from typing import Any

_loading = threading.RLock()


class _LazyPackage(types.ModuleType):
    """A package whose submodules can be imported, and whose `__init__` runs on first use of its API."""

    _init: Callable[[], None]
    _init_started = False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if name == "is_tensor" and not self._init_started:
            return _no_tensor
        # Other threads wait here until `__init__` has run; the thread that runs it may enter again.
        with _loading:
            if not self._init_started:
                self._init_started = True
                self._init()
                self.__class__ = types.ModuleType  # type: ignore[assignment]
        return types.ModuleType.__getattribute__(self, name)


def _no_tensor(value: object) -> bool:
    """The `is_tensor` of a TensorFlow that has made no tensor yet: matplotlib asks whether to plot one."""
    return False


def install(package: str = "tensorflow") -> None:
    """Makes `package` lazy, unless it has been imported already.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    if package in sys.modules:
        return
    spec = machinery.PathFinder.find_spec(package)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    module = util.module_from_spec(spec)
    lazy = _LazyPackage(package)
    lazy.__dict__.update(module.__dict__, _init=functools.partial(spec.loader.exec_module, lazy))
    sys.modules[package] = lazy
