"""Explains the mistakes in a YAML file that a pydantic model describes, one line each."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schema.errors import SpecError, closest, listing, nearest
from schema.names import shown


def read_yaml(path: Path) -> Mapping[Any, Any]:
    """Reads the keys and values of a YAML file.

    Raises:
        SpecError: the file does not exist, is not UTF-8 text or YAML, repeats a key, or does not hold keys and values.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise SpecError(f"{path}: expected a file, found none") from None
    except UnicodeDecodeError as error:
        raise SpecError(
            f"{path}: expected UTF-8 text, received byte 0x{error.object[error.start]:02x} at offset {error.start}"
        ) from None
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}:" if error.problem_mark else ""
        raise SpecError(f"{path}:{line} {error.problem or 'expected YAML'}") from None
    except yaml.YAMLError as error:
        raise SpecError(f"{path}: expected YAML: {error}") from None
    if not isinstance(content, Mapping):
        raise SpecError(f"{path}: expected keys and values, received {_shown(content)}")
    return content


class _Loader(yaml.SafeLoader):
    """Refuses repeated keys, of which PyYAML silently keeps the last, and reads only true and false as booleans (as in
    YAML 1.2), since `yes`, `no`, `on` and `off` also occur as values and column names."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str | int | float) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"expected each key once, received {key!r} twice", key_node.start_mark
                )
            seen.add(key if isinstance(key, str | int | float) else None)
        return super().construct_mapping(node, deep)


_BOOL = "tag:yaml.org,2002:bool"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOL or first in "tTfF"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def mistakes_of(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """The mistakes in a file, each as `key: expected …, received …; did you mean …?`."""
    mistakes = error.errors(include_url=False)
    # A misspelt key is one mistake, not an unknown key and a missing one.
    misspelt = {
        (mistake["loc"][:-1], _near_key(mistake, model)) for mistake in mistakes if mistake["type"] == "extra_forbidden"
    }
    return [
        line
        for mistake in mistakes
        if not (mistake["type"] == "missing" and (mistake["loc"][:-1], mistake["loc"][-1]) in misspelt)
        for line in _sentences(mistake, model)
    ]


_SEVERAL = (Mapping, list)
_KEYS_AND_VALUES = "keys and values"
_EXPECTED: Mapping[str, str] = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": _KEYS_AND_VALUES,
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "invalid_key": "a name",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "a number of at most {le:g}",
    "mapping_type": _KEYS_AND_VALUES,
    "model_attributes_type": _KEYS_AND_VALUES,
    "model_type": _KEYS_AND_VALUES,
    "string_too_long": "{max_length} or fewer characters",
    "string_too_short": "{min_length} or more characters",
    "string_type": "text",
    "too_long": "{max_length} or fewer entries",
    "too_short": "{min_length} or more entries",
    "tuple_type": "a list",
}


def _sentences(mistake: ErrorDetails, model: type[BaseModel]) -> Iterator[str]:
    key, owner = _trace(model, mistake["loc"])
    received, context = mistake["input"], mistake.get("ctx", {})
    match mistake["type"]:
        case "value_error":
            for text in mistake["msg"].removeprefix("Value error, ").splitlines():
                shown = "" if "received" in text else f", received {_shown(received)}"
                yield f"{key}: {text}{shown}" if key else f"{text}{shown}"
        case "extra_forbidden":
            unknown, known = str(mistake["loc"][-1]), list(owner.model_fields)
            yield f"{key}: expected one of the keys {listing(known, 20)}, received {unknown!r}{nearest(unknown, known)}"
        case "missing":
            yield f"{key}: expected a value, received none"
        case "literal_error":
            yield f"{key}: {_choice(str(received), context['expected'])}"
        case "union_tag_invalid":
            yield f"{key}.{context['discriminator'][1:-1]}: {_choice(context['tag'], context['expected_tags'])}"
        case "union_tag_not_found":
            yield f"{key}.{context['discriminator'][1:-1]}: expected a value, received none"
        case kind:
            expected = _EXPECTED.get(kind, mistake["msg"]).format_map(context)
            # Such as a column called 2019, which YAML reads as a number.
            advice = "; put it into quotes" if kind == "string_type" and not isinstance(received, _SEVERAL) else ""
            yield f"{key}: expected {expected}, received {_shown(received)}{advice}"


def _choice(received: str, expected: str) -> str:
    choices = [choice.strip("'") for choice in expected.replace(" or ", ", ").split(", ")]
    return f"expected one of {listing(choices)}, received {received!r}{nearest(received, choices)}"


def _shown(value: object, limit: int = 60) -> str:
    text = "nothing" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


def _near_key(mistake: ErrorDetails, model: type[BaseModel]) -> str | None:
    _, owner = _trace(model, mistake["loc"])
    return closest(str(mistake["loc"][-1]), owner.model_fields)


def _trace(model: type[BaseModel], location: Sequence[str | int]) -> tuple[str, type[BaseModel]]:
    """Follows pydantic's location through the model.

    Returns:
        The key as it is written in the file, without the tags of unions that pydantic adds; and the innermost model
        on the path.
    """
    key, owner, kind = "", model, _plain(model)
    for part in location:
        if part == "[key]":
            continue
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            owner = kind
            key += f".{part}"
            field = kind.model_fields.get(str(part))
            kind = _plain(field.annotation) if field else None
        elif get_origin(kind) in (Union, types.UnionType):
            kind = next((member for member in get_args(kind) if part in _tags(member)), None)
        elif isinstance(part, int) and get_origin(kind) is tuple:
            key += f"[{part}]"
            kind = _plain(get_args(kind)[0])
        else:
            key += f".{shown(str(part))}"
            kind = _plain(get_args(kind)[1]) if len(get_args(kind)) == 2 else None
    return key.removeprefix("."), owner


def _plain(annotation: Any) -> Any:
    """A type without `Annotated` and without `| None`."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        return _plain(members[0]) if len(members) == 1 else annotation
    return annotation


def _tags(member: Any) -> set[object]:
    """The values of a model's literal fields, with which pydantic selects a member of a union."""
    if not (isinstance(member, type) and issubclass(member, BaseModel)):
        return set()
    return {
        value
        for field in member.model_fields.values()
        if get_origin(field.annotation) is Literal
        for value in get_args(field.annotation)
    }
