"""Commands that run the chain of components on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from pipeline.commands import options
from pipeline.terminal.console import busy, quiet


@click.command()
@options.dataset
@options.model
@options.span
@options.root
@options.config
@options.settings
@click.option(
    "--beam-runner", help="Beam's engine: direct (this process), flink, spark or dataflow.  [default: direct]"
)
@click.option("--no-cache", is_flag=True, help="Run every component, even if its inputs are unchanged.")
@click.option("--serve/--no-serve", default=True, help="Serve the model and ask it for rankings.  [default: serve]")
def run(
    dataset: str | None,
    model: str | None,
    span: str | None,
    root: Path | None,
    config: Path | None,
    settings: tuple[str, ...],
    beam_runner: str | None,
    no_cache: bool,
    serve: bool,
) -> None:
    """Run the whole pipeline, from rows to a pushed model.

    Exit status: 0 if a model was pushed, 1 if something stopped the run, 2 for wrong options, 3 if the model was
    refused.
    """
    with quiet(Path(os.devnull)) as terminal, busy(terminal, "Loading TFX"):
        from pipeline.config import run as configuration
        from pipeline.jobs.run import run_and_show
        from pipeline.run.node import PUSHED, REFUSED

        run_config = configuration.load(
            config,
            {
                "dataset": dataset,
                "train.model": model,
                "spans.span": span,
                "root": root,
                "beam.name": beam_runner,
                "cache": False if no_cache else None,
            },
            settings,
        )
    sys.exit(REFUSED if run_and_show(run_config, serve=serve).refusals else PUSHED)


@click.command()
@options.dataset
@options.span
@options.root
@options.config
@options.settings
def refresh(
    dataset: str | None, span: str | None, root: Path | None, config: Path | None, settings: tuple[str, ...]
) -> None:
    """Take new items into the served model, without training.

    Reads the dataset's files, and pushes a copy of the latest blessed model that knows the items, and the users' or
    queries' contexts, of these files. Weights and vocabularies stay as they are: an item that the model was not trained
    on is scored by its features.

    Exit status: 0 if a model was pushed, 1 if something stopped the run, 2 for wrong options, 3 if the model was
    refused.
    """
    with quiet(Path(os.devnull)) as terminal, busy(terminal, "Loading TFX"):
        from pipeline.config import run as configuration
        from pipeline.jobs.refresh import refresh_and_show
        from pipeline.run.node import PUSHED, REFUSED

        run_config = configuration.load(config, {"dataset": dataset, "spans.span": span, "root": root}, settings)
    sys.exit(REFUSED if refresh_and_show(run_config).refusals else PUSHED)


@click.command()
@options.dataset
@options.model
@click.option("--from", "first", metavar="SPAN", help="The first span: a date or a number.  [default: the earliest]")
@click.option("--to", "last", metavar="SPAN", help="The last span: a date or a number.  [default: the latest]")
@options.root
@options.config
@options.settings
def backfill(
    dataset: str | None,
    model: str | None,
    first: str | None,
    last: str | None,
    root: Path | None,
    config: Path | None,
    settings: tuple[str, ...],
) -> None:
    """Run the pipeline for one span after the other.

    For data that comes in spans. Each span is first judged by two earlier models: the one that is served then, and the
    first one. So the table and the picture at the end show the gain from training anew each time. After an
    interruption, the same command continues.

    Exit status: 0 if a model was pushed for each span, 1 if something stopped a run, 2 for wrong options, 3 if the
    model of any span was refused.
    """
    with quiet(Path(os.devnull)) as terminal, busy(terminal, "Loading TFX"):
        from pipeline.config import run as configuration
        from pipeline.jobs.backfill.job import backfill_and_show

        run_config = configuration.load(config, {"dataset": dataset, "train.model": model, "root": root}, settings)
    sys.exit(backfill_and_show(run_config, first, last))
