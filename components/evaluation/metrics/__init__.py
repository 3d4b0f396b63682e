"""The metrics, which register themselves by name: a file for each family, and one for each metric added later."""

import importlib
import pkgutil

_FIRST = ("binary", "lists", "classes", "numbers")
"""In this order, so that tables do not begin with what was added."""

for _name in dict.fromkeys([*_FIRST, *(module.name for module in pkgutil.iter_modules(__path__))]):
    importlib.import_module(f"{__name__}.{_name}")
