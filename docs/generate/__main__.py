"""`python -m docs.generate`: updates the generated blocks of all pages, or lists the stale pages with --check."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from docs.generate.blocks import filled
from docs.generate.commands import command_line, flags
from docs.generate.keys import keys
from docs.generate.makefile import targets
from pipeline.terminal.console import quiet

DOCS = Path(__file__).parent.parent


def _run() -> str:
    from pipeline.config.run import RunConfig

    return keys(RunConfig)


def _features() -> str:
    from schema.feature_spec import FeatureSpec

    return keys(FeatureSpec)


def _commands() -> str:
    from pipeline.cli import cli

    return command_line("rankline", cli)


def _server() -> str:
    from serving.server.__main__ import main as server

    return flags(server)


def _metrics() -> str:
    from docs.generate.metrics import metrics

    return metrics()


BLOCKS = {
    "run": _run,
    "features": _features,
    "metrics": _metrics,
    "commands": _commands,
    "server": _server,
    "make": lambda: targets(DOCS.parent / "Makefile"),
}


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; the exit status is 1 if a page is stale.")
def main(check: bool) -> None:
    """Update the generated blocks of the documentation's pages."""
    pages = {path: path.read_text() for path in sorted(DOCS.rglob("*.md"))}
    with quiet(Path(os.devnull)):
        current = {path: filled(page, BLOCKS) for path, page in pages.items()}
    stale = [path for path, page in pages.items() if page != current[path]]
    if not check:
        for path in stale:
            path.write_text(current[path])
    if check and stale:
        for path in stale:
            click.echo(f"{path}: expected what the code says, received a stale page; run `make docs`", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
