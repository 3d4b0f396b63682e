"""The models: each file has one architecture and registers it by name, so that no other code depends on it."""

import importlib
import pkgutil

from trainer.models.registry import build, check, names

__all__ = ["build", "check", "names"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
