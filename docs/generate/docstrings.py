"""The docstrings of classes and their attributes."""

from __future__ import annotations

import inspect
from functools import cache

from sphinx.pycode import ModuleAnalyzer


def of_class(cls: type) -> str:
    """The docstring of a class."""
    return inspect.cleandoc(cls.__doc__ or "")


def of_attribute(cls: type, name: str) -> str:
    """The docstring below an attribute of a class or of one of its bases."""
    for each in cls.__mro__:
        if found := _attributes(each.__module__).get((each.__qualname__, name)):
            return "\n".join(found).strip()
    return ""


@cache
def _attributes(module: str) -> dict[tuple[str, str], list[str]]:
    return {} if module == "builtins" else ModuleAnalyzer.for_module(module).find_attr_docs()
