"""The generated parts of the reference, from models, commands and pages."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import click
import pytest
from click.testing import CliRunner
from pydantic import BaseModel, Field, PositiveInt

from docs.generate import __main__ as generate
from docs.generate.blocks import filled
from docs.generate.commands import command_line
from docs.generate.keys import keys
from docs.generate.makefile import targets
from docs.generate.markdown import anchor, table
from docs.generate.values import allowed, default


class Small(BaseModel):
    """A small part."""

    size: PositiveInt = 3
    """The size."""


class Round(BaseModel):
    """A round one."""

    kind: Literal["round"] = "round"
    radius: Annotated[float, Field(gt=0, le=1)]
    """The radius."""


class Square(Small):
    """A square one."""

    kind: Literal["square"] = "square"
    tags: tuple[str, ...] = ()
    """The tags."""


class File(BaseModel):
    """A file."""

    name: str
    """The name."""
    part: Small = Small()
    """The part."""
    parts: Mapping[str, Small] = {}
    """The parts, by name."""
    shapes: tuple[Annotated[Round | Square, Field(discriminator="kind")], ...] = ()
    """The shapes."""


def test_keys_are_told_once_each_where_they_are_read():
    assert (
        keys(File)
        == """\
| Key | Value | Default | Meaning |
| --- | --- | --- | --- |
| `name` | text | required | The name. |
| `part` | see [`part`](#part) |  | The part. |
| `parts` | mapping, see [`part`](#part) | none | The parts, by name. |
| `shapes` | list, see [`shapes[]`](#shapes) | none | The shapes. |

## `part`

A small part.

| Key | Value | Default | Meaning |
| --- | --- | --- | --- |
| `part.size` | whole number ≥ 1 | `3` | The size. |

## `shapes[]`

The shapes.

### `shapes[]` with `kind: round`

A round one.

| Key | Value | Default | Meaning |
| --- | --- | --- | --- |
| `shapes[].radius` | number > 0, ≤ 1 | required | The radius. |

### `shapes[]` with `kind: square`

A square one.

| Key | Value | Default | Meaning |
| --- | --- | --- | --- |
| `shapes[].tags` | list of texts | none | The tags. |
| `shapes[].size` | whole number ≥ 1 | `3` | The size. |"""
    )


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (bool, "`true` or `false`"),
        (int | None, "whole number"),
        (int | float, "number"),
        (str | tuple[str, ...] | tuple[float, ...], "text, list of texts or list of numbers"),
        (Literal["a", "b", "c"], "`a`, `b` or `c`"),
        (Annotated[float, Field(ge=0, lt=1)], "number ≥ 0, < 1"),
        (Annotated[int, Field(ge=1, le=9)], "whole number ≥ 1, ≤ 9"),
        (tuple[float, float], "list of 2 numbers"),
        (tuple[tuple[str, ...], ...], "list of lists of texts"),
        (Mapping[str, float], "mapping to numbers"),
        (Path, "path"),
    ],
)
def test_what_a_key_may_be_given_is_said_in_words(annotation, expected):
    model = type("Model", (BaseModel,), {"__annotations__": {"key": annotation}})
    assert allowed(model.model_json_schema()["properties"]["key"]) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "none"),
        ("", "none"),
        ((), "none"),
        (True, "`true`"),
        (0.0001, "`0.0001`"),
        (("wide", "deep"), "`[wide, deep]`"),
        (Path("runs"), "`runs`"),
        ({"auc": Small(size=1)}, "`{auc: {size: 1}}`"),
        (Small(), ""),
    ],
)
def test_a_default_is_written_as_yaml(value, expected):
    model = type("Model", (BaseModel,), {"__annotations__": {"key": object}, "key": value})
    assert default(model.model_fields["key"]) == expected


@click.group()
def group() -> None:
    """A program."""


@group.command()
@click.argument("file", required=False)
@click.option("--count", type=click.IntRange(min=1), default=3, show_default=True, help="The count.")
@click.option("--root", type=click.Path(), help="The root.  [default: runs]")
@click.option("--name", required=True, help="The name | or so.")
@click.option("--all/--some", default=True, help="Take all.")
def take(**_: object) -> None:
    """Take a file.

    It may be any.
    """


def test_a_command_is_told_with_its_options():
    assert (
        command_line("prog", group)
        == """\
| Command | Does |
| --- | --- |
| [`prog take`](#prog-take) | Take a file. |

## `prog take`

Take a file.

It may be any.

```text
prog take [OPTIONS] [FILE]
```

| Option | Default | Meaning |
| --- | --- | --- |
| `--count` `INTEGER` (x>=1) | `3` | The count. |
| `--root` `PATH` | runs | The root. |
| `--name` `TEXT` | required | The name \\| or so. |
| `--all`, `--some` |  | Take all. |"""
    )


def test_targets_are_told_with_what_they_do(tmp_path):
    (tmp_path / "Makefile").write_text("bin := x\n\nrun: setup ## Run it\n\t@x\n\nlock: ## Lock\n\t@y\n")
    assert targets(tmp_path / "Makefile") == table(
        ("Target", "Does"), [("`make run`", "Run it"), ("`make lock`", "Lock")]
    )


@pytest.mark.parametrize(
    ("heading", "expected"),
    [("`train.epochs`", "trainepochs"), ("Roll out, and back", "roll-out-and-back"), ("`a` with `b: c`", "a-with-b-c")],
)
def test_anchors_are_githubs(heading, expected):
    assert anchor(heading) == expected


def test_only_what_is_between_its_marks_is_filled():
    page = "# A\n\n<!-- generated: x -->\nold\n<!-- end -->\n\nB\n\n<!-- generated: y -->\n<!-- end -->\n"
    full = filled(page, {"x": lambda: "new", "y": lambda: "also\n"})
    assert full == (
        "# A\n\n<!-- generated: x -->\n\nnew\n\n<!-- end -->\n\nB\n\n<!-- generated: y -->\n\nalso\n\n<!-- end -->\n"
    )
    assert filled(full, {"x": lambda: "new", "y": lambda: "also"}) == full


def test_a_stale_page_is_told_and_then_mended(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("<!-- generated: x -->\nold\n<!-- end -->\n")
    monkeypatch.setattr(generate, "DOCS", tmp_path)
    monkeypatch.setattr(generate, "BLOCKS", {"x": lambda: "new"})
    run = CliRunner().invoke
    checked = run(generate.main, ["--check"])
    assert checked.exit_code == 1
    assert checked.stderr == f"{page}: expected what the code says, received a stale page; run `make docs`\n"
    assert "old" in page.read_text()
    assert run(generate.main).exit_code == 0
    assert "new" in page.read_text()
    assert run(generate.main, ["--check"]).exit_code == 0
