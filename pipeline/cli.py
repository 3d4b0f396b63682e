"""`rankline`: the command line. Thin: every command calls one function and shows what it returns.

Imports that take seconds (TFX, TensorFlow) are inside the commands that need them, so that `--help` is quick.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from rich.markup import escape

from pipeline.console import busy, console, counted, quiet
from schema.errors import RanklineError

if TYPE_CHECKING:
    from ml_metadata.proto.metadata_store_pb2 import ConnectionConfig
    from rich.console import Console

    from pipeline.config import RunConfig
    from pipeline.kubeflow_server import Package
    from pipeline.layout import Layout
    from pipeline.metadata import MetadataStore
    from serving.channel import Tls
    from serving.rollout import Rollout

_dataset = click.option("--dataset", "-d", help="A name from `rankline datasets`, or a folder.  [default: movielens]")
_dataset_or_default = click.option(
    "--dataset", "-d", default="movielens", show_default=True, help="A name from `rankline datasets`, or a folder."
)
_root = click.option(
    "--root", type=click.Path(path_type=Path, file_okay=False), help="Where all runs are kept.  [default: runs]"
)
_config = click.option(
    "--config", "-c", type=click.Path(path_type=Path), help="A YAML file with a run's configuration."
)
_settings = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE",
    help="One key of the configuration, such as train.epochs=3. Repeatable.",
)  # fmt: skip
_target = click.option("--target", "-t", default="127.0.0.1:8500", show_default=True, help="The server's gRPC address.")
_label = click.option(
    "--label", default="", help="Ask the version with this label, such as stable.  [default: the latest]"
)
_targets = click.option(
    "--target", "-t", "targets", multiple=True, default=["127.0.0.1:8500"], show_default=True,
    help="A server's gRPC address. Repeatable: all get the same.",
)  # fmt: skip
_config_file = click.option(
    "--config-file", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The servers' --model_config_file, changed with them. Needed if they serve other models too.",
)  # fmt: skip
_base_path = click.option(
    "--base-path", help="The folder of the model's versions as the servers see it.  [default: as on this machine]"
)
_json = click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="Also write the numbers to this file."
)
_page = click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Also write an HTML page to this file."
)
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO)
"""Errors for which no line of ours is to blame."""
_share = click.FloatRange(0, 1)
_positive = click.FloatRange(min=0, min_open=True)
_port = click.IntRange(0, 65535)
_pem = click.Path(path_type=Path, exists=True, dir_okay=False)


def _encrypted(command: Callable[..., None]) -> Callable[..., None]:
    """The options of TLS; the command gets what they say as `tls`, which is None without them."""

    @functools.wraps(command)
    def with_tls(ca: Path | None, cert: Path | None, key: Path | None, **others: Any) -> None:
        from serving.channel import Tls

        command(tls=Tls(ca, cert, key) if ca or cert or key else None, **others)

    for option in (
        click.option("--key", type=_pem, help="Its private key (PEM)."),
        click.option("--cert", type=_pem, help="A certificate of ours (PEM), for servers that verify their clients."),
        click.option("--ca", type=_pem, help="Speak TLS, and trust servers that these authorities vouch for (PEM)."),
    ):
        with_tls = option(with_tls)
    return with_tls


def _on_kubeflow(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a command that asks a Kubeflow Pipelines server; it gets them as `server`, for `connected`."""

    @functools.wraps(command)
    def with_server(
        host: str | None, namespace: str | None, token_file: Path | None, ca: Path | None, **others: Any
    ) -> None:
        command(server={"host": host, "namespace": namespace, "token_file": token_file, "ca": ca}, **others)

    for option in (
        click.option("--ca", type=_pem, help="Trust servers that these authorities vouch for (PEM)."),
        click.option(
            "--token-file", type=click.Path(path_type=Path), envvar="KF_PIPELINES_SA_TOKEN_PATH",
            help="Holds a token for the server, read anew for each call.  "
            "[default: what the variable KF_PIPELINES_TOKEN holds, or the token of the pod's service account]",
        ),
        click.option("--namespace", "-n", help="Whose runs, where the server is for several users."),
        click.option(
            "--host", envvar="KF_PIPELINES_ENDPOINT",
            help="The address of Kubeflow Pipelines, such as http://localhost:8080.  "
            "[default: what the variable KF_PIPELINES_ENDPOINT holds; in a pod, its cluster's]",
        ),
    ):  # fmt: skip
        with_server = option(with_server)
    return with_server


_span = click.option("--span", help="Of data in spans, read up to this one: a date or a number.  [default: the latest]")
_experiment = click.option(
    "--experiment", help="Under which it is listed; has to be there.  [default: one of the pipeline's name]"
)


def _moving(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a command that moves labels."""
    for option in (_encrypted, _base_path, _config_file, _targets, _root, _dataset_or_default):
        command = option(command)
    return command


def _layout(dataset: str, root: Path | None) -> Layout:
    from pipeline.layout import Layout
    from schema.dataset import find

    return Layout(root or Path("runs"), find(dataset).name)


def _keep(numbers: str, path: Path | None) -> None:
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(numbers + "\n")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="rankline", message="%(version)s")
def cli() -> None:
    """From raw click or rating logs to a validated, versioned, served ranking model."""


@cli.command()
@_dataset
@click.option("--model", "-m", help="The model to train.  [default: wide_deep]")
@_span
@_root
@_config
@_settings
@click.option("--beam-runner", help="Beam's: direct (this process), flink, spark or dataflow.  [default: direct]")
@click.option("--no-cache", is_flag=True, help="Run every component, also those whose inputs are unchanged.")
@click.option("--serve/--no-serve", default=True, help="Serve the result and ask it for rankings.  [default: serve]")
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
        from pipeline import config as configuration
        from pipeline.main_job import run_and_show

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
    sys.exit(run_and_show(run_config, serve=serve))


@cli.command()
@_dataset
@click.option("--model", "-m", help="The model to train.  [default: wide_deep]")
@click.option("--from", "first", metavar="SPAN", help="A date or a number.  [default: the first that there is]")
@click.option("--to", "last", metavar="SPAN", help="A date or a number.  [default: the last that there is]")
@_root
@_config
@_settings
def backfill(
    dataset: str | None,
    model: str | None,
    first: str | None,
    last: str | None,
    root: Path | None,
    config: Path | None,
    settings: tuple[str, ...],
) -> None:
    """Run the pipeline for one span after the other, of data that comes in spans.

    Each span is first judged by the models from before it: the one that is served then, and the first one. So the
    table and the picture at the end show what it is worth to train anew each time. Who is interrupted goes on with the
    same command.

    Exit status: 0 if a model was pushed for each span, 1 if something stopped a run, 2 for wrong options, 3 if the
    model of any span was refused.
    """
    with quiet(Path(os.devnull)) as terminal, busy(terminal, "Loading TFX"):
        from pipeline import config as configuration
        from pipeline.backfill.job import backfill_and_show

        run_config = configuration.load(config, {"dataset": dataset, "train.model": model, "root": root}, settings)
    sys.exit(backfill_and_show(run_config, first, last))


@cli.command("compile")
@_dataset
@click.option("--model", "-m", help="The model to train.  [default: wide_deep]")
@_config
@_settings
@click.option(
    "--target", type=click.Choice(["kubeflow", "vertex"]), default="kubeflow", show_default=True,
    help="A package for Kubeflow Pipelines, or a job for Vertex AI.",
)  # fmt: skip
@click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False), required=True,
    help="The file to write: YAML for kubeflow, JSON for vertex.",
)  # fmt: skip
def compile_(
    dataset: str | None, model: str | None, config: Path | None, settings: tuple[str, ...], target: str, output: Path
) -> None:
    """Write the pipeline as a package for Kubeflow Pipelines.

    What its pods are given is in the configuration's section kubeflow. The package has parameters for a run's id,
    dataset, span, model and settings. A job for Vertex AI has none; where it runs is in the section vertex.
    """
    with quiet(Path(os.devnull)) as terminal, busy(terminal, "Compiling"):
        compiled = _compiled(dataset, model, config, settings, output, target)
    console().print(f"Compiled {compiled.train.model} on {compiled.dataset} to {output}")


def _compiled(
    dataset: str | None,
    model: str | None,
    config: Path | None,
    settings: tuple[str, ...],
    output: Path,
    target: str = "kubeflow",
) -> RunConfig:
    """Writes what a platform runs; gives what it was made of."""
    from pipeline import config as configuration
    from schema.explain import read_yaml

    _need_kfp()
    given = read_yaml(config) if config else {}
    run_config = configuration.resolve(
        given, {"dataset": dataset, "train.model": model}, settings, str(config) if config else "configuration"
    )
    if target == "vertex":
        from pipeline.vertex import compile_job

        compile_job(run_config, output)
    else:
        from pipeline.kubeflow import compile_package

        compile_package(run_config, given, settings, output)
    return run_config


def _need_kfp() -> None:
    try:
        import kfp.kubernetes  # noqa: F401 (whether it is there)
    except ModuleNotFoundError as missing:
        command = click.get_current_context().command_path
        raise RanklineError(
            f"{command}: expected the package {missing.name}, found none; pip install 'rankline[kubeflow]'"
        ) from None


@cli.command()
@_dataset
@click.option("--model", "-m", help="The model to train.  [default: wide_deep]")
@_config
@_settings
@_span
@click.option("--run-id", help="Names the run in ML Metadata.  [default: Kubeflow's own name for it]")
@_experiment
@click.option("--wait", is_flag=True, help="Show how it goes, until it has ended.")
@_on_kubeflow
def submit(
    dataset: str | None,
    model: str | None,
    config: Path | None,
    settings: tuple[str, ...],
    span: str | None,
    run_id: str | None,
    experiment: str | None,
    wait: bool,
    server: Mapping[str, Any],
) -> None:
    """Run the pipeline on a Kubeflow cluster.

    Compiles it as `rankline compile` does, uploads the package if the server does not have it, and starts a run.

    Exit status: 0 if the run was started, with --wait if it has succeeded; 1 if something stopped it, which a refused
    model does too; 2 for wrong options.
    """
    with quiet(Path(os.devnull)) as terminal, _packaged(terminal, dataset, model, config, settings) as compiled:
        run_config, package = compiled
        from pipeline.kubeflow_access import connected
        from pipeline.kubeflow_server import Server

        with connected(**server) as client:
            kubeflow = Server(client)
            with busy(terminal, "Submitting"):
                given = {name: value for name, value in (("run_id", run_id), ("span", span)) if value}
                job_id = kubeflow.submit(package, given, experiment, _service_account(run_config))
            what = f"{run_config.train.model} on {run_config.dataset}"
            terminal.print(escape(f"Submitted {what}: {kubeflow.link(job_id)}"))
            if wait:
                from pipeline.waiting import show

                show(kubeflow.progress(package, job_id), len(package.tasks), terminal)


@cli.command()
@click.option(
    "--cron", required=True, metavar="TIMES",
    help="Minute, hour, day, month and weekday, such as '0 3 * * *' for three each night, in the cluster's time zone "
    "(UTC, unless it was given another).",
)  # fmt: skip
@click.option("--name", help="Of the schedule. One that has it is replaced.  [default: the pipeline's]")
@_dataset
@click.option("--model", "-m", help="The model to train.  [default: wide_deep]")
@_config
@_settings
@_experiment
@_on_kubeflow
def schedule(
    cron: str,
    name: str | None,
    dataset: str | None,
    model: str | None,
    config: Path | None,
    settings: tuple[str, ...],
    experiment: str | None,
    server: Mapping[str, Any],
) -> None:
    """Run the pipeline on a Kubeflow cluster again and again.

    One run at a time; what was missed is not made up for. `rankline schedules` lists the schedules, and stops them.
    """
    from pipeline.cron import with_seconds

    when = with_seconds(cron)
    with quiet(Path(os.devnull)) as terminal, _packaged(terminal, dataset, model, config, settings) as compiled:
        run_config, package = compiled
        from pipeline.kubeflow_access import connected
        from pipeline.kubeflow_server import Server

        name = name or package.pipeline
        with connected(**server) as client, busy(terminal, "Scheduling"):
            replaced = Server(client).schedule(package, name, when, experiment, _service_account(run_config))
        verb = "Replaced" if replaced else "Made"
        what = f"{run_config.train.model} on {run_config.dataset}"
        terminal.print(escape(f"{verb} the schedule {name}: {what} at {when}"))


@contextlib.contextmanager
def _packaged(
    terminal: Console, dataset: str | None, model: str | None, config: Path | None, settings: tuple[str, ...]
) -> Iterator[tuple[RunConfig, Package]]:
    """A package for Kubeflow Pipelines that is there for the length of a `with` block."""
    with tempfile.TemporaryDirectory(prefix="rankline-") as folder:
        output = Path(folder) / "package.yaml"
        with busy(terminal, "Compiling"):
            run_config = _compiled(dataset, model, config, settings, output)
            from pipeline.kubeflow_server import Package

            package = Package(output)
        yield run_config, package


def _service_account(run_config: RunConfig) -> str | None:
    return run_config.kubeflow.service_account if run_config.kubeflow else None


@cli.command()
@click.option("--enable", metavar="NAME", help="Let one start runs again.")
@click.option("--disable", metavar="NAME", help="Keep one from starting runs, and keep it.")
@click.option("--delete", metavar="NAME", help="Delete one. The runs that it has started stay.")
@_on_kubeflow
def schedules(enable: str | None, disable: str | None, delete: str | None, server: Mapping[str, Any]) -> None:
    """List the schedules of a Kubeflow cluster.

    With an option, first change one of them, by its name or id.
    """
    with quiet(Path(os.devnull)) as terminal:
        with busy(terminal, "Loading"):
            _need_kfp()
            from pipeline.kubeflow_access import connected
            from pipeline.kubeflow_server import Server
            from pipeline.tables import schedules_table
        with connected(**server) as client, busy(terminal, "Asking the server"):
            kubeflow = Server(client)
            for change, name in (
                (kubeflow.enable, enable),
                (kubeflow.disable, disable),
                (kubeflow.delete, delete),
            ):
                if name:
                    change(name)
            found = kubeflow.schedules()
        terminal.print(schedules_table(found) if found else "No schedules: `rankline schedule` makes one.")


@cli.command()
@_dataset_or_default
@_root
@click.option("--port", type=_port, default=8500, show_default=True, help="For gRPC; 0 is a free one.")
@click.option(
    "--rest-api-port", "--rest_api_port", type=_port, default=8501, show_default=True, help="For HTTP; 0 is none."
)
@click.option(
    "--log-requests", type=click.FloatRange(0, 1), default=0.0, show_default=True, metavar="SHARE",
    help="Log this share of the requests with their answers, for `rankline monitor`.",
)  # fmt: skip
def serve(dataset: str, root: Path | None, port: int, rest_api_port: int, log_requests: float) -> None:
    """Serve a dataset's pushed models until interrupted.

    Newer versions are taken over as they come.
    """
    from pipeline.serving import exec_server

    exec_server(_layout(dataset, root), port, rest_api_port, log_requests)


@cli.command()
@_dataset_or_default
@_root
@_config
@click.option(
    "--logs", metavar="PATTERN",
    help="The files of the request log, of any TF Serving.  [default: those of `rankline serve --log-requests`]",
)  # fmt: skip
@click.option(
    "--labels", type=click.Path(path_type=Path, exists=True, dir_okay=False), multiple=True,
    help="A file in the dataset's format that says what became of candidates. Repeatable.",
)  # fmt: skip
@click.option(
    "--window", type=click.Choice(["hour", "day", "all"]), default="day", show_default=True,
    help="What is served in one is compared with that of the one before.",
)  # fmt: skip
@click.option("--max-skew", type=_share, default=0.2, show_default=True, help="Distance of a column from training.")
@click.option("--max-drift", type=_share, default=0.2, show_default=True, help="Distance from the window before.")
@click.option("--max-auc-drop", type=_share, default=0.05, show_default=True, help="Below the test split's AUC.")
@click.option(
    "--max-calibration", type=click.FloatRange(min=0), default=0.2, show_default=True,
    help="By which mean score / mean label may differ from 1.",
)  # fmt: skip
@_json
@_page
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

    Reads a server's request log: how far the columns' values are from those of the train split, how they and the scores
    drift, and, where labels are given, AUC and calibration. Exit status 3 if a limit is exceeded. Distances are
    Jensen-Shannon divergences, from 0 for the same to 1.
    """
    with quiet(Path(os.devnull)) as terminal:
        with busy(terminal, "Reading the request log"):
            from pipeline.as_json import as_json
            from pipeline.monitor import job, page
            from pipeline.monitor.judge import Limits

            limits = Limits(max_skew, max_drift, max_auc_drop, max_calibration)
            layout = _layout(dataset, root)
            findings = job.run(dataset, layout, _metadata(root, config), logs, labels, window, limits)
        for table in job.tables(findings):
            terminal.print(table)
        for alarm in findings.alarms:
            terminal.print(escape(alarm), style="red")
    _keep(as_json(findings), json_path)
    if output:
        _keep(page.html(findings, layout.dataset, limits).rstrip(), output)
    if findings.alarms:
        sys.exit(3)


@cli.command()
@_dataset_or_default
@click.option("--user", "-u", "group", required=True, help="Whom to rank for: a value of the ranking group's column.")
@click.option("-k", type=click.IntRange(min=1), default=10, show_default=True, help="How many items.")
@_target
@_encrypted
@_label
@click.option("--all", "include_seen", is_flag=True, help="Rank items too that the user has seen.")
def rank(dataset: str, group: str, k: int, target: str, tls: Tls | None, label: str, include_seen: bool) -> None:
    """Ask a running server for the best items for a user."""
    from pipeline.ranking import Ranker
    from pipeline.tables import ranking_table
    from schema import dataset as datasets

    found = datasets.find(dataset)
    terminal = console()
    with Ranker(found, target, label, tls) as ranker, busy(terminal, f"Asking {target}"):
        ranker.check(group)
        ranker.wait_while_loading()
        ranked = ranker.rank(group, k, include_seen=include_seen)
    terminal.print(ranking_table(ranked))


@cli.command()
@_dataset_or_default
@click.option("--user", "-u", "group", required=True, help="Whose list: a value of the ranking group's column.")
@click.option(
    "--item", "-i", "items", multiple=True, help="Explain this one, also if the user has seen it. Repeatable."
)
@click.option(
    "--top", type=click.IntRange(min=1), default=3, show_default=True, help="Without --item: so many, the best first."
)
@click.option("--run", "run_id", metavar="RUN", help="Whose model.  [default: the latest that was blessed]")
@_root
@_config
@_json
@_page
def explain(
    dataset: str,
    group: str,
    items: tuple[str, ...],
    top: int,
    run_id: str | None,
    root: Path | None,
    config: Path | None,
    json_path: Path | None,
    output: Path | None,
) -> None:
    """Explain why a user is shown what.

    Takes the logit of an item apart: the weights of the wide part, which add up exactly, and what each feature moves
    in the other parts, by integrated gradients from an average row of the test split. Needs no server.
    """
    with quiet(Path(os.devnull)) as terminal:
        with busy(terminal, "Loading TensorFlow"):
            from pipeline import explanation
            from schema.dataset import find

            ranking = explanation.explain(find(dataset), _metadata(root, config), group, items, top, run_id)
        for table in explanation.tables(ranking):
            terminal.print(table)
    _keep(ranking.model_dump_json(indent=2), json_path)
    if output:
        from components.report.page import explained_html

        _keep(explained_html(ranking).rstrip(), output)


@cli.command()
@_dataset_or_default
@_target
@_encrypted
@_label
@click.option(
    "--clients", type=click.IntRange(min=1), help="So many requests at once.  [default: 8; with --rate at most 64]"
)
@click.option(
    "--rate", type=_positive, metavar="PER_SECOND",
    help="Requests come at this rate, at random times.  [default: when the one before is answered]",
)  # fmt: skip
@click.option(
    "--seconds", type=click.FloatRange(min=0, min_open=True), default=10.0, show_default=True, help="For how long."
)
@click.option(
    "--warm-up", type=click.FloatRange(min=0), default=2.0, show_default=True, help="Seconds before that, not counted."
)
@click.option("--candidates", type=click.IntRange(min=1), default=100, show_default=True, help="Of each ranking.")
@_json
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
    json_path: Path | None,
) -> None:
    """Put load on a running server, and show how it bears it.

    Asks for rankings of the dataset's own users and items. With --rate, latencies count from when a request was due, so
    that a stall of the server shows in all requests that had to wait for its end.

    Exit status: 0 if any request was answered, else 1.
    """
    from pipeline.load import run
    from pipeline.tables import load_tables
    from schema.dataset import find

    terminal = console()
    clients = clients or (8 if rate is None else 64)
    with busy(terminal, f"Asking {target} for {warm_up + seconds:g} s"):
        report = run(find(dataset), target, candidates, clients, seconds, rate, warm_up, label, tls)
    for table in load_tables(report):
        terminal.print(table)
    _keep(json.dumps(report.as_dict(), indent=2), json_path)
    sys.exit(0 if report.answered else 1)


@cli.command()
@_dataset_or_default
@_root
@_targets
@_encrypted
def versions(dataset: str, root: Path | None, targets: tuple[str, ...], tls: Tls | None) -> None:
    """List a model's versions, with their labels.

    Both those that were pushed and those that a server has or had.
    """
    from pipeline.rollout import pushed_versions, rollout
    from pipeline.tables import versions_table

    terminal = console()
    layout = _layout(dataset, root)
    with rollout(layout, targets, tls=tls) as labels, busy(terminal, "Asking the server"):
        table = versions_table(labels.states(), labels.labels(), pushed_versions(layout))
    terminal.print(table)


@cli.command()
@_moving
@click.option("--version", type=int, help="Which to try.  [default: the latest that was pushed]")
@click.option("--seconds", type=click.FloatRange(min=0), default=10.0, show_default=True, help="Of requests to both.")
@click.option(
    "--max-errors", type=click.FloatRange(0, 1), default=0.0, show_default=True,
    help="The error rate may be higher by this much.",
)  # fmt: skip
@click.option(
    "--max-slower", type=click.FloatRange(min=0), default=1.5, show_default=True,
    help="The 99th percentile of the time may be so many times as long.",
)  # fmt: skip
def canary(
    dataset: str,
    root: Path | None,
    targets: tuple[str, ...],
    config_file: Path | None,
    base_path: str | None,
    tls: Tls | None,
    version: int | None,
    seconds: float,
    max_errors: float,
    max_slower: float,
) -> None:
    """Try a version beside the stable one.

    Gives it the label canary and sends both the same requests, by turns. If it fails more often or takes longer than it
    may, the label is taken back. Clients ask for the label stable meanwhile: without a label, they get the latest.

    Exit status: 0 if it may be promoted, 3 if it was taken back.
    """
    from pipeline.rollout import pushed_versions, rollout
    from pipeline.tables import trial_table
    from pipeline.trial import Limits, run
    from schema.dataset import find

    terminal = console()
    layout = _layout(dataset, root)
    with rollout(layout, targets, config_file, base_path, tls) as labels:
        with busy(terminal, "Loading it"):
            moved = labels.canary(max(pushed_versions(layout)) if version is None else version)
        terminal.print(_labelled(moved))
        if not seconds:
            return
        try:
            with busy(terminal, f"Asking both for {seconds:g} s"):
                trial = run(find(dataset), targets[0], seconds, Limits(max_errors, max_slower), tls)
        except BaseException:
            labels.withdraw()
            raise
        terminal.print(trial_table(trial))
        if trial.problems:
            moved = labels.withdraw()
            terminal.print("[bold red]Taken back[/]: the canary does worse.")
            for problem in trial.problems:
                terminal.print(f"  {problem}")
            terminal.print(_labelled(moved))
            sys.exit(3)
        terminal.print("The canary does as well: `rankline promote` makes it the stable version.")


@cli.command()
@_moving
@click.option("--version", type=int, help="Which.  [default: the canary]")
def promote(version: int | None, **where: Any) -> None:
    """Make a version the stable one.

    What was stable keeps the label previous and stays loaded. From the first time on, newer versions are no longer
    served as they come, but when they are promoted or tried.
    """
    _move(lambda labels: labels.promote(version), **where)


@cli.command()
@_moving
def rollback(**where: Any) -> None:
    """Go back to the version that was stable before."""
    _move(lambda labels: labels.rollback(), **where)


def _move(
    move: Callable[[Rollout], Mapping[str, int]],
    dataset: str,
    root: Path | None,
    targets: tuple[str, ...],
    config_file: Path | None,
    base_path: str | None,
    tls: Tls | None,
) -> None:
    from pipeline.rollout import rollout

    terminal = console()
    layout = _layout(dataset, root)
    with rollout(layout, targets, config_file, base_path, tls) as labels, busy(terminal, "Moving the label"):
        moved = move(labels)
    terminal.print(_labelled(moved))


def _labelled(labels: Mapping[str, int]) -> str:
    return ", ".join(f"[bold]{label}[/] is version {version}" for label, version in labels.items())


@cli.command()
@_root
@_config
@click.option(
    "--limit", "-n", type=click.IntRange(min=1), default=20, show_default=True, help="How many, newest first."
)
def runs(root: Path | None, config: Path | None, limit: int) -> None:
    """List past runs.

    With their dataset, model and metrics, whether they were blessed and pushed, and why not. A configuration says
    where they are kept, if that is not a file in the root.
    """
    from pipeline.runs import list_runs
    from pipeline.tables import runs_table

    found = list_runs(_metadata(root, config))
    console().print(runs_table(found[:limit]) if found else "No runs yet: `rankline run` makes one.")
    for run in found[:limit]:
        if run.refusals:
            click.echo("\n  ".join([f"\n{run.run_id} was refused:", *run.refusals]))


def _metadata(root: Path | None, config: Path | None) -> ConnectionConfig:
    """Where past runs are known."""
    from pipeline.layout import Layout
    from pipeline.metadata import Sqlite, connection

    metadata: MetadataStore = Sqlite()
    if config:
        from pipeline import config as configuration

        run_config = configuration.load(config, {"root": root}, ())
        metadata, root = run_config.metadata, run_config.root
    return connection(metadata, Layout(root or Path("runs"), "").metadata)


@cli.command()
@click.argument("run_id", metavar="[RUN]", required=False)
@_root
@_config
@click.option(
    "--compare", "pair", nargs=2, metavar="RUN RUN", help="Write how the second run's model differs from the first's."
)
@click.option("--markdown", is_flag=True, help="Print it as Markdown, for a pull request.")
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Also write it to this file.")
def report(
    run_id: str | None,
    root: Path | None,
    config: Path | None,
    pair: tuple[str, str] | None,
    markdown: bool,
    output: Path | None,
) -> None:
    """Show where the report of a run is, by default of the latest that has one.

    It is one HTML file that needs no network. A comparison is written to compare.html, or where --output says. A
    configuration says where runs are kept, if that is not a file in the root.
    """
    from components.report.document import MARKDOWN_FILE, PAGE_FILE
    from pipeline.runs import with_report

    metadata = _metadata(root, config)
    if pair:
        if run_id or markdown:
            raise click.UsageError("expected --compare RUN RUN without another RUN, and as HTML")
        folders = [with_report(metadata, each) for each in pair]
        with quiet(Path(os.devnull)) as terminal, busy(terminal, "Comparing"):
            from pipeline.report import compare

            page = compare(*map(Path, folders)).rstrip()
        output = output or Path("compare.html")
        _keep(page, output)
        click.echo(output)
        return
    path = Path(with_report(metadata, run_id)) / (MARKDOWN_FILE if markdown else PAGE_FILE)
    if output:
        _keep(path.read_text().rstrip(), output)
        path = output
    click.echo(path.read_text().rstrip() if markdown and not output else path)


@cli.command()
def datasets() -> None:
    """List the datasets that come with Rankline."""
    from schema.dataset import available

    for name, description in available():
        click.echo(f"{name:<12} {description}")


@cli.command()
@_dataset_or_default
def validate(dataset: str) -> None:
    """Check a dataset's description against its files.

    Shows what becomes of every column, and how large vocabularies, splits and the model's input are.
    """
    from pipeline.tables import description_tables
    from schema.dataset import find
    from schema.describe import describe

    terminal = console()
    with busy(terminal, "Reading the files"):
        found = find(dataset)
        description = describe(found)
    for table in description_tables(description):
        terminal.print(table)
    if found.spans:
        terminal.print(found.spans.summary())


@cli.command()
@_dataset
@click.option(
    "--models", "-m", default="wide,deep,wide_deep,dcn_v2", show_default=True, metavar="NAME,...",
    help="Each is compared with the first.",
)  # fmt: skip
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="Trainings of each model.")
@_root
@_config
@_settings
def compare(
    dataset: str | None, models: str, seeds: int, root: Path | None, config: Path | None, settings: tuple[str, ...]
) -> None:
    """Train several models on one dataset and judge them alike.

    The data is transformed once. Shows metrics over seeds with a paired test, how they depend on what was seen in
    training, and how much of the catalogue the models recommend; writes a picture and the numbers.
    """
    with quiet(Path(os.devnull)) as terminal, busy(terminal, "Loading TFX"):
        from pipeline import config as configuration
        from pipeline.compare.job import compare_and_show

        configs = {
            name: configuration.load(config, {"dataset": dataset, "root": root, "train.model": name}, settings)
            for name in models.split(",")
        }
    compare_and_show(configs, range(seeds))


@cli.command("flink-up")
@_root
@click.option("--task-managers", type=click.IntRange(min=1), default=2, show_default=True, help="How many.")
def flink_up(root: Path | None, task_managers: int) -> None:
    """Start a Flink cluster on this machine.

    It is for `rankline run --beam-runner flink` with the same root: a JobManager, TaskManagers, and Beam's job server,
    which Maven fetches the first time.
    """
    from pipeline.flink import cluster

    terminal = console()
    with busy(terminal, "Starting Flink"):
        started = cluster.up(root or Path("runs"), task_managers)
    terminal.print(f"Flink is up, TaskManagers: {started.slots}, REST: {started.rest}, jobs: {started.job_endpoint}")


@cli.command("flink-down")
@_root
def flink_down(root: Path | None) -> None:
    """Stop the Flink cluster that `rankline flink-up` has started."""
    from pipeline.flink import cluster

    terminal = console()
    with busy(terminal, "Stopping Flink"):
        was_up = cluster.down(root or Path("runs"))
    terminal.print("Flink is down." if was_up else "No Flink cluster was up.")


@cli.command()
@_dataset
@click.option("--model", "-m", help="The model to train.  [default: wide_deep]")
@_json
def bench(dataset: str | None, model: str | None, json_path: Path | None) -> None:
    """Measure each component on a cold run.

    Shows seconds, rows per second and memory. Nothing is cached or kept.
    """
    start = time.monotonic()
    with quiet(Path(os.devnull)) as terminal, busy(terminal, "Loading TFX"):
        from pipeline import config as configuration
        from pipeline.bench import chain

    imported = time.monotonic() - start
    run_config = configuration.load(None, {"dataset": dataset, "train.model": model}, ())
    result = chain.run(run_config, imported)
    console().print(chain.table(result))
    _keep(chain.to_json(result), json_path)


@cli.command("bench-train")
@click.option(
    "--models", "-m", default="wide_deep,dcn_v2", show_default=True, metavar="NAME,...", help="Which of these two."
)
@click.option(
    "--ids", default="10000,1000000,10000000", show_default=True, metavar="NUMBER,...",
    help="Of all categorical columns together.",
)  # fmt: skip
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Turns of each library.")
@click.option("--steps", type=click.IntRange(min=1), default=10, show_default=True, help="Steps of a turn.")
@_json
def bench_train(models: str, ids: str, rounds: int, steps: int, json_path: Path | None) -> None:
    """Measure training steps beside other libraries'.

    Shows rows per second, memory and AUC on the same rows for the same architecture, by turns, and the bound that the
    model's matrix products set. `make bench-train` makes the environment for the other libraries first.
    """
    from pipeline.bench import train

    if not all(total.isdecimal() for total in ids.split(",")):
        raise click.BadParameter(f"expected whole numbers with commas between, received {ids!r}", param_hint="--ids")
    setting = train.Setting(models.split(","), [int(total) for total in ids.split(",")], rounds, steps)
    result = train.run(setting, lambda table: console().print(table))
    _keep(train.to_json(result), json_path)


@cli.command("bench-serve")
@_dataset_or_default
@_root
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="Turns of each side.")
@click.option(
    "--seconds", type=click.FloatRange(min=0, min_open=True), default=3.0, show_default=True, help="Of a turn."
)
@click.option("--swaps", type=click.IntRange(min=0), default=20, show_default=True, help="New versions under load.")
@click.option("--flood", type=click.IntRange(min=0), default=10_000, show_default=True, help="Requests sent at once.")
@click.option(
    "--soak-minutes", type=click.IntRange(min=0), default=0, show_default=True,
    help="Of load at the end, with a new version every minute.",
)  # fmt: skip
@_json
def bench_serve(
    dataset: str,
    root: Path | None,
    rounds: int,
    seconds: float,
    swaps: int,
    flood: int,
    soak_minutes: int,
    json_path: Path | None,
) -> None:
    """Measure the embedded server on the latest pushed model.

    Beside a call of the loaded model in this process, and beside a gRPC server that does nothing: for 1 and 100
    candidates and 1, 8 and 32 clients. Then requests at random times, new versions under load, and more requests at
    once than the server takes.
    """
    with quiet(Path(os.devnull)) as terminal:
        with busy(terminal, "Loading TensorFlow"):
            from pipeline.bench import serve
            from schema.dataset import find
        setting = serve.Setting(rounds=rounds, seconds=seconds, swaps=swaps, flood=flood, soak_minutes=soak_minutes)
        with terminal.status("") as status:
            result = serve.run(find(dataset), _layout(dataset, root), setting, status.update)
        for table in serve.tables(result):
            terminal.print(table)
    _keep(serve.to_json(result), json_path)


@cli.command("bench-scale")
@click.option(
    "--rows", "sizes", default="100000,1000000,10000000", show_default=True, metavar="NUMBER,...",
    help="Of the datasets.",
)  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice(["parquet", "csv"]), default="parquet", show_default=True,
    help="Of their files.",
)  # fmt: skip
@click.option(
    "--flink", "task_managers", type=click.IntRange(min=1), multiple=True, metavar="NUMBER",
    help="Also on a Flink cluster of so many TaskManagers, which is started for it. Repeatable.",
)  # fmt: skip
@_settings
@_json
def bench_scale(
    sizes: str,
    form: Literal["parquet", "csv"],
    task_managers: tuple[int, ...],
    settings: tuple[str, ...],
    json_path: Path | None,
) -> None:
    """Measure what a row costs in each component as the rows grow.

    Generated rows go through the chain, each component in a process of its own: seconds, rows per second and memory,
    and what a further row costs. pandas computes Transform's features beside it.
    """
    if not all(size.isdecimal() and int(size) >= 1000 for size in sizes.split(",")):
        raise click.BadParameter(
            f"expected numbers of at least 1000, with commas, received {sizes!r}", param_hint="--rows"
        )
    with quiet(Path(os.devnull)) as terminal:
        with busy(terminal, "Loading TFX"):
            from pipeline.bench import scale
        with terminal.status("") as status:
            result = scale.run([int(size) for size in sizes.split(",")], form, settings, task_managers, status.update)
        for table in scale.tables(result):
            terminal.print(table)
    _keep(scale.to_json(result), json_path)


@cli.command("bench-planted")
@click.option("--rows", type=click.IntRange(min=1000), default=1_000_000, show_default=True, help="To train on.")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Trainings of each model.")
def bench_planted(rows: int, seeds: int) -> None:
    """Show who memorises and who generalises, where the truth is known.

    Trains wide, deep and Wide & Deep on generated clicks in which crosses, low-rank interactions or both are planted,
    and shows how far each stays behind the best possible prediction.
    """
    with quiet(Path(os.devnull)) as terminal:
        with busy(terminal, "Loading TensorFlow"):
            from pipeline.bench import planted
        with counted(terminal) as progress:
            task = progress.add_task("", total=len(planted.TRUTHS) * len(planted.MODELS) * seeds)

            def on_training(truth: str, model: str, seed: int) -> None:
                progress.update(task, description=f"{truth}: {model}, seed {seed}", advance=1)

            found = planted.run(rows, range(seeds), on_training)
        terminal.print(planted.table(found))


def main() -> None:
    """Runs a command; what the user can mend is one paragraph on standard error, and exit status 1."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except RanklineError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        if error.errno not in _OF_THE_DISK:
            raise
        click.echo(f"Error: {error.filename or 'the disk'}: {error.strerror}", err=True)
        sys.exit(1)
