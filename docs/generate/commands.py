"""Commands, their options and flags, from click."""

from __future__ import annotations

import inspect
import re

import click

from docs.generate.markdown import anchor, table

_WRITTEN_DEFAULT = re.compile(r"\s*\[default: (.*)\]")
"""The end of a help text that states the default itself, because the option does not know it."""


def command_line(name: str, group: click.Group) -> str:
    """A table of all commands, and a section for each.

    Args:
        name: the name of the program.
        group: the command that contains the others.
    """
    commands = {f"{name} {each}": command for each, command in group.commands.items()}
    overview = table(
        ("Command", "Does"),
        [(f"[`{each}`](#{anchor(each)})", command.get_short_help_str(200)) for each, command in commands.items()],
    )
    return "\n\n".join([overview, *(_section(each, command) for each, command in commands.items())])


def _section(name: str, command: click.Command) -> str:
    context = click.Context(command)
    arguments = [part.make_metavar(context) for part in command.params if isinstance(part, click.Argument)]
    usage = " ".join([name, "[OPTIONS]", *arguments])
    return "\n\n".join([f"## `{name}`", inspect.cleandoc(command.help or ""), f"```text\n{usage}\n```", flags(command)])


def flags(command: click.Command) -> str:
    """A table of a command's options."""
    context = click.Context(command)
    options = [part for part in command.params if isinstance(part, click.Option)]
    rows = [_row(option, context) for option in options]
    return table(("Option", "Default", "Meaning"), rows) if rows else "It has no options."


def _row(option: click.Option, context: click.Context) -> tuple[str, str, str]:
    extra = option.get_help_extra(context)
    meaning = option.help or ""
    default = f"`{extra['default']}`" if extra.get("default") else "required" if option.required else ""
    if written := _WRITTEN_DEFAULT.search(meaning):
        default, meaning = written[1], meaning[: written.start()]
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    kind = "" if option.is_flag else f" `{option.make_metavar(context).removesuffix(' RANGE')}`"
    limits = f" ({extra['range']})" if extra.get("range") else ""
    return names + kind + limits, default, meaning
