"""Commands that serve models, query them, and monitor what is served."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from rich.markup import escape

from pipeline.commands import options
from pipeline.terminal.console import busy, console, quiet
from schema.finite import FiniteRange

if TYPE_CHECKING:
    from serving.channel import Tls


@click.command()
@options.dataset_or_default
@options.root
@click.option("--port", type=options.port, default=8500, show_default=True, help="The gRPC port; 0 is a free one.")
@click.option(
    "--rest-api-port",
    "--rest_api_port",
    type=options.port,
    default=8501,
    show_default=True,
    help="The HTTP port; 0 is none.",
)
@click.option(
    "--log-requests", type=FiniteRange(0, 1), default=0.0, show_default=True, metavar="SHARE",
    help="Log this share of the requests with their answers, for `rankline monitor`.",
)  # fmt: skip
def serve(dataset: str, root: Path | None, port: int, rest_api_port: int, log_requests: float) -> None:
    """Serve a dataset's pushed models until interrupted.

    Newer versions replace older ones as they come. TensorFlow's log is runs/DATASET/serve.log.
    """
    from pipeline.live.server import exec_server

    exec_server(options.layout(dataset, root), port, rest_api_port, log_requests)


@click.command()
@options.dataset_or_default
@options.root
@options.config
@click.option(
    "--logs", metavar="PATTERN",
    help="The files of the request log, also of TF Serving.  [default: those of `rankline serve`]",
)  # fmt: skip
@click.option(
    "--labels", type=click.Path(path_type=Path, exists=True, dir_okay=False), multiple=True,
    help="A file with the labels of candidates, in the dataset's format. Repeatable.",
)  # fmt: skip
@click.option(
    "--window", type=click.Choice(["hour", "day", "all"]), default="day", show_default=True,
    help="The length of a time window. The last one is compared with the one before.",
)  # fmt: skip
@click.option(
    "--max-skew",
    type=options.share,
    default=0.2,
    show_default=True,
    help="The largest distance of a column's values from training.",
)
@click.option(
    "--max-drift",
    type=options.share,
    default=0.2,
    show_default=True,
    help="The largest distance of values and scores from the window before.",
)
@click.option(
    "--max-auc-drop",
    type=options.share,
    default=0.05,
    show_default=True,
    help="The largest drop below the test split's AUC.",
)
@click.option(
    "--max-calibration", type=FiniteRange(min=0), default=0.2, show_default=True,
    help="The largest distance of mean score / mean label from 1.",
)  # fmt: skip
@options.json
@options.page
def monitor(
    dataset: str,
    root: Path | None,
    config: Path | None,
    logs: str | None,
    labels: tuple[Path, ...],
    window: Literal["hour", "day", "all"],
    max_skew: float,
    max_drift: float,
    max_auc_drop: float,
    max_calibration: float,
    json_path: Path | None,
    output: Path | None,
) -> None:
    """Compare what is served with what the model was trained and judged on.

    Reads a server's request log. Shows how far the columns' values are from those of the train split, how they and the
    scores drift, and, with labels, AUC and calibration. Distances are Jensen-Shannon divergences, from 0 for equal
    distributions to 1. Exit status 3 if a limit is exceeded.
    """
    with quiet(Path(os.devnull)) as terminal:
        with busy(terminal, "Reading the request log"):
            from pipeline.jobs.monitor import job, page
            from pipeline.jobs.monitor.judge import AlarmLimits
            from pipeline.terminal.json import as_json

            limits = AlarmLimits(max_skew, max_drift, max_auc_drop, max_calibration)
            layout = options.layout(dataset, root)
            findings = job.run(dataset, layout, options.metadata(root, config), logs, labels, window, limits)
        for table in job.tables(findings):
            terminal.print(table)
        for alarm in findings.alarms:
            terminal.print(escape(alarm), style="red")
    options.keep(as_json(findings), json_path)
    if output:
        options.keep(page.html(findings, layout.dataset, limits).rstrip(), output)
    if findings.alarms:
        sys.exit(3)


@click.command()
@options.dataset_or_default
@click.option(
    "--user", "-u", "group", required=True, help="The user to rank for: a value of the ranking group's column."
)
@click.option("-k", type=click.IntRange(min=1), default=10, show_default=True, help="The number of items.")
@options.target
@options.encrypted
@options.label
@click.option(
    "--context", multiple=True, metavar="COLUMN=VALUE",
    help="A column that describes the user or the moment. Repeatable.  [default: the latest that the model knows]",
)  # fmt: skip
@click.option("--exclude", multiple=True, metavar="ID", help="The id of an item to leave out. Repeatable.")
@click.option("--features", is_flag=True, help="Send the columns in the dataset's files, of items that the user lacks.")
@click.option("--all", "include_seen", is_flag=True, help="With --features: also rank items that the user has seen.")
def rank(
    dataset: str,
    group: str,
    k: int,
    target: str,
    tls: Tls | None,
    label: str,
    context: tuple[str, ...],
    exclude: tuple[str, ...],
    features: bool,
    include_seen: bool,
) -> None:
    """Ask a running server for the best items for a user.

    The served model knows the items and the users, so this machine needs no file of the dataset. --features reads the
    dataset's files instead, and leaves out what the user has seen in them.
    """
    from pipeline.live.ranking import Ranker, ranking_table, recommended
    from schema.dataset import find, served_name

    terminal = console()
    if features:
        if context or exclude:
            raise click.UsageError("--context, --exclude: expected without --features, whose files say both")
        with Ranker(find(dataset), target, label, tls) as ranker, busy(terminal, f"Asking {target}"):
            ranker.check(group)
            ranker.wait_while_loading()
            ranked = ranker.rank(group, k, include_seen=include_seen, features=True)
    else:
        if include_seen:
            raise click.UsageError("--all: expected with --features, which alone leaves out what the user has seen")
        columns = dict(_column_and_value(text) for text in context)
        with busy(terminal, f"Asking {target}"):
            ranked = recommended(target, served_name(dataset), group, k, columns, exclude, label, tls)
    terminal.print(ranking_table(ranked))


def _column_and_value(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--context: expected COLUMN=VALUE, received {text!r}")
    return name, value


@click.command()
@options.dataset_or_default
@options.target
@options.encrypted
@options.label
@click.option(
    "--clients",
    type=click.IntRange(min=1),
    help="The number of requests at once.  [default: 8; with --rate at most 64]",
)
@click.option(
    "--rate", type=options.positive, metavar="PER_SECOND",
    help="The rate of requests, at random times.  [default: each when the last one is answered]",
)  # fmt: skip
@click.option(
    "--seconds",
    type=FiniteRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="The length of the measurement.",
)
@click.option(
    "--warm-up", type=FiniteRange(min=0), default=2.0, show_default=True, help="The seconds of warm-up, not counted."
)
@click.option(
    "--candidates", type=click.IntRange(min=1), default=100, show_default=True, help="The candidates of each ranking."
)
@click.option("--features", is_flag=True, help="Send the items' columns, also to a model that knows the items' ids.")
@options.json
def load(
    dataset: str,
    target: str,
    tls: Tls | None,
    label: str,
    clients: int | None,
    rate: float | None,
    seconds: float,
    warm_up: float,
    candidates: int,
    features: bool,
    json_path: Path | None,
) -> None:
    """Put load on a running server, and show its latencies.

    Asks for rankings of the dataset's own users and items, by their ids if the model knows them. With --rate, latencies
    count from when a request was due, so that a stall of the server shows in all requests that it delays.

    Exit status: 0 if any request was answered, else 1.
    """
    from pipeline.live.load import load_tables, send_rankings
    from schema.dataset import find

    terminal = console()
    clients = clients or (8 if rate is None else 64)
    with busy(terminal, f"Asking {target} for {warm_up + seconds:g} s"):
        report = send_rankings(find(dataset), target, candidates, clients, seconds, rate, warm_up, label, tls, features)
    for table in load_tables(report):
        terminal.print(table)
    options.keep(json.dumps(report.as_dict(), indent=2), json_path)
    sys.exit(0 if report.answered else 1)
