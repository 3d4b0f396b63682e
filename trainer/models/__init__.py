"""The models, one architecture per file, which registers itself by name. Nothing outside knows an architecture."""

import importlib
import pkgutil

from trainer.models.registry import build, check, names

__all__ = ["build", "check", "names"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
