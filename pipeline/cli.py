"""`rankline`: the command line."""

from __future__ import annotations

import sys

import click

from pipeline.commands import bench, chain, data, flink, kubeflow, results, rollout, serving
from schema.errors import RanklineError, disk_errors


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="rankline", message="%(version)s")
def cli() -> None:
    """From raw click or rating logs to a validated, versioned, served ranking model."""


for command in (
    chain.run,
    chain.refresh,
    chain.backfill,
    kubeflow.compile_,
    kubeflow.submit,
    kubeflow.schedule,
    kubeflow.schedules,
    serving.serve,
    serving.monitor,
    serving.rank,
    serving.load,
    rollout.versions,
    rollout.canary,
    rollout.promote,
    rollout.rollback,
    results.runs,
    results.report,
    results.explain,
    results.compare,
    data.datasets,
    data.validate,
    flink.flink_up,
    flink.flink_down,
    bench.bench,
    bench.bench_train,
    bench.bench_serve,
    bench.bench_scale,
    bench.bench_planted,
):
    cli.add_command(command)


def main() -> None:
    """Runs a command. An error that the user can fix is one paragraph on standard error, with exit status 1."""
    try:
        with disk_errors():
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
