"""The values that a key may have, and its default, in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

Schema = Mapping[str, Any]
"""A JSON schema of pydantic's."""

_NOUNS = {"integer": "whole number", "number": "number", "string": "text"}


def allowed(schema: Schema) -> str:
    """The values that a key may have, such as `whole number ≥ 1`."""
    match schema:
        case {"anyOf": members}:
            kinds = dict.fromkeys(allowed(member) for member in members if member != {"type": "null"})
            return _either([kind for kind in kinds if kind != "whole number" or "number" not in kinds])
        case {"enum": values}:
            return _either([f"`{value}`" for value in values])
        case {"const": value}:
            return f"`{value}`"
        case {"type": "boolean"}:
            return "`true` or `false`"
        case {"type": "array", "prefixItems": [item, *_] as items}:
            return f"list of {len(items)} {_plural(allowed(item))}"
        case {"type": "array"}:
            return f"list of {_plural(allowed(schema['items']))}"
        case {"type": "object"}:
            return f"mapping to {_plural(allowed(schema.get('additionalProperties', {})))}"
        case {"type": "string", "format": "path"}:
            return "path"
        case {"type": str(kind)}:
            return _NOUNS[kind] + _bounds(schema)
    return "value"


def _either(kinds: list[str]) -> str:
    *others, last = kinds
    return f"{', '.join(others)} or {last}" if others else last


def _bounds(schema: Schema) -> str:
    whole = schema["type"] == "integer"
    bounds = [
        (f"≥ {schema['exclusiveMinimum'] + 1}" if whole else f"> {schema['exclusiveMinimum']:g}")
        if "exclusiveMinimum" in schema
        else "",
        f"≥ {schema['minimum']:g}" if "minimum" in schema else "",
        f"< {schema['exclusiveMaximum']:g}" if "exclusiveMaximum" in schema else "",
        f"≤ {schema['maximum']:g}" if "maximum" in schema else "",
    ]
    return "".join(f" {bound}" for bound in bounds if bound).replace(" <", ", <").replace(" ≤", ", ≤")


def _plural(kind: str) -> str:
    for noun in ("whole number", "number", "text", "path", "value", "list"):
        if kind.startswith(noun):
            return kind.replace(noun, f"{noun}s", 1)
    return kind


def default(field: FieldInfo) -> str:
    """The default of a key; empty if the key holds further keys, which have defaults of their own."""
    if field.is_required():
        return "required"
    given = field.get_default(call_default_factory=True)
    value = _plain(given)
    if value in (None, "", [], {}):
        return "" if isinstance(given, BaseModel) else "none"
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True)
    written = text.removesuffix("...\n").strip()
    return f"`{written}`"


def _plain(value: object) -> object:
    """A value as YAML has it; of a model, only the keys that differ from their defaults."""
    match value:
        case BaseModel():
            name = getattr(value, "name", None)
            changed = value.model_dump(mode="json", exclude_defaults=True)
            return {"name": name, **changed} if name else changed
        case Mapping():
            return {key: _plain(each) for key, each in value.items()}
        case tuple():
            return [_plain(each) for each in value]
        case PurePath():
            return str(value)
    return value
