"""Checks messages against the models that openapi-generator has made of an API: KServe's, Kubeflow Pipelines'."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any

_PRIMITIVE = {"str": str, "int": int, "bool": bool, "float": (int, float)}


def check(models: ModuleType, kind: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Checks a message and those that lie in it; what is of a kind that the models do not have is not looked into.

    Args:
        models: the module that holds them.
        kind: one of them.
        given: the message, as JSON has it.

    Returns:
        The messages by the name of their kinds.

    Raises:
        ValueError: something is missing, or a value is none of those that there are.
        AssertionError: something is not known, or of another type.
    """
    attributes = {name: attribute for attribute, name in kind.attribute_map.items()}
    assert set(given) <= set(attributes), f"{kind.__name__} has no {', '.join(set(given) - set(attributes))}"
    kind(**{attributes[name]: value for name, value in given.items()})
    found = {kind.__name__: dict(given)}
    for name, value in given.items():
        found |= _check_value(models, kind.openapi_types[attributes[name]], value, f"{kind.__name__}.{name}")
    return found


def _check_value(models: ModuleType, kind: str, value: Any, where: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if inner := re.fullmatch(r"list\[(.*)\]", kind):
        assert isinstance(value, list), f"{where}: expected a list, received {value!r}"
        for each in value:
            found |= _check_value(models, inner[1], each, where)
    elif kind.startswith("dict("):
        assert isinstance(value, dict), f"{where}: expected an object, received {value!r}"
    elif kind == "datetime":
        datetime.datetime.fromisoformat(value)
    elif kind in _PRIMITIVE:
        assert isinstance(value, _PRIMITIVE[kind]), f"{where}: expected {kind}, received {value!r}"
    elif model := getattr(models, kind, None):
        if values := getattr(model, "allowable_values", None):
            assert value in values, f"{where}: expected one of {values}, received {value!r}"
        else:
            found = check(models, model, value)
    return found
