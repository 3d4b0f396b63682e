"""The keys of a YAML file, from the pydantic models that read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from docs.generate.docstrings import of_attribute, of_class
from docs.generate.markdown import anchor, table
from docs.generate.values import Schema, allowed, default

_NAMES = {"features": "COLUMN", "thresholds": "METRIC", "slices": "SLICE", "models": "MODEL", "tasks": "COMPONENT",
          "secrets": "VARIABLE", "space": "KEY"}  # fmt: skip
"""The placeholders for keys that the user chooses, by the mapping's key."""


class _Place(NamedTuple):
    """A place in the file where models are read. It has a section on the page."""

    key: str
    models: tuple[type[BaseModel], ...]
    meaning: str


def keys(model: type[BaseModel]) -> str:
    """A table of a file's keys, and a section for each key that holds further ones.

    Args:
        model: the model that reads the file.
    """
    told: dict[tuple[type[BaseModel], ...], str] = {}
    waiting = [_Place("", (model,), "")]
    parts: list[str] = []
    while waiting:
        place = waiting.pop(0)
        inner: list[_Place] = []
        for member in place.models:
            inner += [each for each in _inner(member, place.key) if each not in inner]
        for each in inner:
            told.setdefault(each.models, each.key)
        parts += _section(place, told)
        waiting = [each for each in inner if told[each.models] == each.key] + waiting
    return "\n\n".join(parts)


def _section(place: _Place, told: Mapping[tuple[type[BaseModel], ...], str]) -> Iterator[str]:
    if place.key:
        yield f"## {_title(place.key)}"
    if len(place.models) == 1:
        if place.key:
            yield of_class(place.models[0])
        yield _table(place.models[0], place.key, told)
        return
    yield place.meaning
    for member in place.models:
        name, field = _tag(member)
        (value,) = get_args(field.annotation)
        yield f"### {_title(place.key)} with `{name}: {value}`"
        yield of_class(member)
        yield _table(member, place.key, told)


def _title(key: str) -> str:
    return f"`{key}`"


def _table(model: type[BaseModel], prefix: str, told: Mapping[tuple[type[BaseModel], ...], str]) -> str:
    properties: Schema = model.model_json_schema()["properties"]
    rows = []
    for name, field in _own_and_required_first(model):
        key = f"{prefix}.{name}" if prefix else name
        if models := _models(field.annotation):
            value = f"{_step(field.annotation, name).how_many}see [{_title(told[models])}](#{anchor(told[models])})"
        else:
            value = allowed(properties[name])
        rows.append((f"`{key}`", value, default(field), of_attribute(model, name)))
    return table(("Key", "Value", "Default", "Meaning"), rows) if rows else "It has no further keys."


def _own_and_required_first(model: type[BaseModel]) -> list[tuple[str, FieldInfo]]:
    """The fields: first the required ones, then those of the class itself, then inherited ones."""
    fields = [(name, field) for name, field in model.model_fields.items() if not _is_tag(field)]
    return sorted(fields, key=lambda each: (not each[1].is_required(), each[0] not in model.__annotations__))


def _inner(model: type[BaseModel], prefix: str) -> Iterator[_Place]:
    """The places below a model's keys that hold further keys."""
    for name, field in model.model_fields.items():
        if models := _models(field.annotation):
            key = f"{prefix}.{name}" if prefix else name
            yield _Place(key + _step(field.annotation, name).key, models, of_attribute(model, name))


class _Step(NamedTuple):
    """A step from a key to the keys of the models that it holds."""

    key: str
    how_many: str


def _step(annotation: Any, name: str) -> _Step:
    if get_origin(annotation) is Annotated:
        return _step(get_args(annotation)[0], name)
    if _is_mapping(annotation):
        return _Step(f".{_NAMES.get(name, 'NAME')}", "mapping, ")
    return _Step("[]", "list, ") if get_origin(annotation) is tuple else _Step("", "")


def _models(annotation: Any) -> tuple[type[BaseModel], ...]:
    """The models that a key holds, be it in a list or a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (annotation,)
    if get_origin(annotation) in (Annotated, Union, UnionType, tuple) or _is_mapping(annotation):
        return tuple(model for member in get_args(annotation) for model in _models(member))
    return ()


def _is_mapping(annotation: Any) -> bool:
    origin = get_origin(annotation)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _is_tag(field: FieldInfo) -> bool:
    """Whether the field only tells the members of a union apart."""
    return get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1


def _tag(model: type[BaseModel]) -> tuple[str, FieldInfo]:
    return next((name, field) for name, field in model.model_fields.items() if _is_tag(field))
