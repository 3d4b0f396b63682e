"""Commands that run the chain on Kubeflow Pipelines or Vertex AI."""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape

from pipeline.commands import options
from pipeline.terminal.console import busy, console, quiet
from schema.errors import RanklineError

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.config.run import RunConfig
    from pipeline.platforms.kubeflow.server import Package


def _on_kubeflow(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options of a command that calls a Kubeflow Pipelines server; it gets them as `server`, for
    `connected`."""

    @functools.wraps(command)
    def with_server(
        host: str | None, namespace: str | None, token_file: Path | None, ca: Path | None, **others: Any
    ) -> None:
        command(server={"host": host, "namespace": namespace, "token_file": token_file, "ca": ca}, **others)

    for option in (
        click.option("--ca", type=options.pem, help="The certificate authorities to trust (PEM)."),
        click.option(
            "--token-file", type=click.Path(path_type=Path), envvar="KF_PIPELINES_SA_TOKEN_PATH",
            help="A file with a token for the server, read anew for each call.  "
            "[default: the variable KF_PIPELINES_TOKEN, or the token of the pod's service account]",
        ),
        click.option("--namespace", "-n", help="The namespace of the runs, on a server with several users."),
        click.option(
            "--host", envvar="KF_PIPELINES_ENDPOINT",
            help="The address of Kubeflow Pipelines, such as http://localhost:8080.  "
            "[default: the variable KF_PIPELINES_ENDPOINT; in a pod, its cluster's server]",
        ),
    ):  # fmt: skip
        with_server = option(with_server)
    return with_server


_experiment = click.option(
    "--experiment", help="The experiment that lists the run, which must exist.  [default: one with the pipeline's name]"
)


@click.command("compile")
@options.dataset
@options.model
@options.config
@options.settings
@click.option(
    "--target", type=click.Choice(["kubeflow", "vertex"]), default="kubeflow", show_default=True,
    help="The platform: Kubeflow Pipelines takes a package, Vertex AI a job.",
)  # fmt: skip
@click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False), required=True,
    help="The file to write: YAML for kubeflow, JSON for vertex.",
)  # fmt: skip
def compile_(
    dataset: str | None, model: str | None, config: Path | None, settings: tuple[str, ...], target: str, output: Path
) -> None:
    """Write the pipeline as a package for Kubeflow Pipelines.

    The section kubeflow of the configuration says what the pods get. The package has parameters for a run's id,
    dataset, span, model and settings. A job for Vertex AI has none; the section vertex says where it runs.
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
    """Writes the package or the job, and returns the configuration that it contains."""
    from pipeline.config import run as configuration
    from schema.mistakes import read_yaml

    _need_kfp()
    given = read_yaml(config) if config else {}
    run_config = configuration.resolve(
        given, {"dataset": dataset, "train.model": model}, settings, str(config) if config else "configuration"
    )
    if target == "vertex":
        from pipeline.platforms.vertex import compile_job

        compile_job(run_config, output)
    else:
        from pipeline.platforms.kubeflow.package import compile_package

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


@click.command()
@options.dataset
@options.model
@options.config
@options.settings
@options.span
@click.option("--run-id", help="The run's name in ML Metadata.  [default: Kubeflow's own name for it]")
@_experiment
@click.option("--wait", is_flag=True, help="Show the run's progress until it has ended.")
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

    Exit status: 0 if the run was started or, with --wait, has succeeded; 1 if something stopped it, such as a refused
    model; 2 for wrong options.
    """
    with quiet(Path(os.devnull)) as terminal, _packaged(terminal, dataset, model, config, settings) as compiled:
        run_config, package = compiled
        from pipeline.platforms.kubeflow.client import connected
        from pipeline.platforms.kubeflow.server import Server

        with connected(**server) as client:
            kubeflow = Server(client)
            with busy(terminal, "Submitting"):
                given = {name: value for name, value in (("run_id", run_id), ("span", span)) if value}
                job_id = kubeflow.submit(package, given, experiment, _service_account(run_config))
            what = f"{run_config.train.model} on {run_config.dataset}"
            terminal.print(escape(f"Submitted {what}: {kubeflow.link(job_id)}"))
            if wait:
                from pipeline.platforms.kubeflow.progress import show

                show(kubeflow.progress(package, job_id), len(package.tasks), terminal)


@click.command()
@click.option(
    "--cron", required=True, metavar="TIMES",
    help="Minute, hour, day, month and weekday, such as '0 3 * * *' for 3:00 each night, in the cluster's time zone "
    "(UTC unless it was set to another).",
)  # fmt: skip
@click.option("--name", help="The name of the schedule; it replaces one of this name.  [default: the pipeline's]")
@options.dataset
@options.model
@options.config
@options.settings
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

    Only one run goes on at a time, and missed times are skipped. `rankline schedules` lists the schedules, and stops
    them.
    """
    from pipeline.platforms.kubeflow.cron import with_seconds

    when = with_seconds(cron)
    with quiet(Path(os.devnull)) as terminal, _packaged(terminal, dataset, model, config, settings) as compiled:
        run_config, package = compiled
        from pipeline.platforms.kubeflow.client import connected
        from pipeline.platforms.kubeflow.server import Server

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
    """A package for Kubeflow Pipelines that exists for the length of a `with` block."""
    with tempfile.TemporaryDirectory(prefix="rankline-") as folder:
        output = Path(folder) / "package.yaml"
        with busy(terminal, "Compiling"):
            run_config = _compiled(dataset, model, config, settings, output)
            from pipeline.platforms.kubeflow.server import Package

            package = Package(output)
        yield run_config, package


def _service_account(run_config: RunConfig) -> str | None:
    return run_config.kubeflow.service_account if run_config.kubeflow else None


@click.command()
@click.option("--enable", metavar="NAME", help="Let a schedule start runs again.")
@click.option("--disable", metavar="NAME", help="Keep a schedule from starting runs, without deleting it.")
@click.option("--delete", metavar="NAME", help="Delete a schedule. The runs that it has started stay.")
@_on_kubeflow
def schedules(enable: str | None, disable: str | None, delete: str | None, server: Mapping[str, Any]) -> None:
    """List the schedules of a Kubeflow cluster.

    An option, with a schedule's name or id, first changes that schedule.
    """
    with quiet(Path(os.devnull)) as terminal:
        with busy(terminal, "Loading"):
            _need_kfp()
            from pipeline.platforms.kubeflow.client import connected
            from pipeline.platforms.kubeflow.server import Server, schedules_table
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
