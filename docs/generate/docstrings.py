"""What the code says of its classes and their attributes."""

from __future__ import annotations

import inspect
from functools import cache

from sphinx.pycode import ModuleAnalyzer


def of_class(cls: type) -> str:
    """The class's own docstring."""
    return inspect.cleandoc(cls.__doc__ or "")


def of_attribute(cls: type, name: str) -> str:
    """The docstring below an attribute, of the class or of one that it is derived from."""
    for each in cls.__mro__:
        if found := _attributes(each.__module__).get((each.__qualname__, name)):
            return "\n".join(found).strip()
    return ""


@cache
def _attributes(module: str) -> dict[tuple[str, str], list[str]]:
    return {} if module == "builtins" else ModuleAnalyzer.for_module(module).find_attr_docs()
