"""The metrics, which register themselves by name: a file for each family, and one for each further metric."""

import importlib
import pkgutil

_FIRST = ("binary", "lists", "classes", "numbers")
"""The modules that are imported first, in this order, so that further metrics come last in tables."""

for _name in dict.fromkeys([*_FIRST, *(module.name for module in pkgutil.iter_modules(__path__))]):
    importlib.import_module(f"{__name__}.{_name}")
