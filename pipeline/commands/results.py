"""Commands that show the results of runs."""

from __future__ import annotations

import os
from pathlib import Path

import click

from pipeline.commands import options
from pipeline.terminal.console import busy, console, quiet


@click.command()
@options.root
@options.config
@click.option(
    "--limit", "-n", type=click.IntRange(min=1), default=20, show_default=True, help="The number of runs, newest first."
)
def runs(root: Path | None, config: Path | None, limit: int) -> None:
    """List past runs.

    Shows their dataset, model and metrics, whether the model was blessed and pushed, and why not. A configuration says
    where runs are kept, if that is not a file in the root.
    """
    from pipeline.run.history import list_runs, runs_table

    found = list_runs(options.metadata(root, config))
    console().print(runs_table(found[:limit]) if found else "No runs yet: `rankline run` makes one.")
    for run in found[:limit]:
        if run.refusals:
            click.echo("\n  ".join([f"\n{run.run_id} was refused:", *run.refusals]))
        elif run.unjudged:
            click.echo("\n  ".join([f"\n{run.run_id} was blessed although it could not be judged by", *run.unjudged]))


@click.command()
@click.argument("run_id", metavar="[RUN]", required=False)
@options.root
@options.config
@click.option("--compare", "pair", nargs=2, metavar="RUN RUN", help="Compare the second run's model with the first's.")
@click.option("--markdown", is_flag=True, help="Print the report as Markdown, for a pull request.")
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Also write it to this file.")
def report(
    run_id: str | None,
    root: Path | None,
    config: Path | None,
    pair: tuple[str, str] | None,
    markdown: bool,
    output: Path | None,
) -> None:
    """Show the path of a run's report, by default of the latest run that has one.

    A report is one HTML file that needs no network. A comparison is written to compare.html, or to --output. A
    configuration says where runs are kept, if that is not a file in the root.
    """
    from components.report.document import MARKDOWN_FILE, PAGE_FILE
    from pipeline.run.history import with_report

    metadata = options.metadata(root, config)
    if pair:
        if run_id or markdown:
            raise click.UsageError("expected --compare RUN RUN without another RUN or --markdown")
        folders = [with_report(metadata, each) for each in pair]
        with quiet(Path(os.devnull)) as terminal, busy(terminal, "Comparing"):
            from pipeline.jobs.report import compare

            page = compare(*map(Path, folders)).rstrip()
        output = output or Path("compare.html")
        options.keep(page, output)
        click.echo(output)
        return
    path = Path(with_report(metadata, run_id)) / (MARKDOWN_FILE if markdown else PAGE_FILE)
    if output:
        options.keep(path.read_text().rstrip(), output)
        path = output
    click.echo(path.read_text().rstrip() if markdown and not output else path)


@click.command()
@options.dataset_or_default
@click.option(
    "--user", "-u", "group", required=True, help="The user of the list: a value of the ranking group's column."
)
@click.option("--item", "-i", "items", multiple=True, help="An item to explain. Repeatable.")
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="The number of items without --item, the best first.",
)
@click.option("--run", "run_id", metavar="RUN", help="The run of the model.  [default: the latest that was blessed]")
@click.option(
    "--features", is_flag=True, help="Read the dataset's files, and leave out what the user has seen in them."
)
@options.root
@options.config
@options.json
@options.page
def explain(
    dataset: str,
    group: str,
    items: tuple[str, ...],
    top: int,
    run_id: str | None,
    features: bool,
    root: Path | None,
    config: Path | None,
    json_path: Path | None,
    output: Path | None,
) -> None:
    """Explain why a user sees an item.

    Splits the logit of an item into the weights of the wide part, which add up exactly, and each feature's contribution
    to the other parts, by integrated gradients from an average row of the test split. Needs no server, and no file of
    the dataset: the run has kept the items and the users' latest contexts.
    """
    with quiet(Path(os.devnull)) as terminal:
        with busy(terminal, "Loading TensorFlow"):
            from pipeline.jobs.explain import explain_ranking, tables

            ranking = explain_ranking(dataset, options.metadata(root, config), group, items, top, run_id, features)
        for table in tables(ranking):
            terminal.print(table)
    options.keep(ranking.model_dump_json(indent=2), json_path)
    if output:
        from components.report.page import explained_html

        options.keep(explained_html(ranking).rstrip(), output)


@click.command()
@options.dataset
@click.option(
    "--models", "-m", default="wide,deep,wide_deep,dcn_v2", show_default=True, metavar="NAME,...",
    help="The models; each is compared with the first.",
)  # fmt: skip
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="The trainings of each model.")
@options.root
@options.config
@options.settings
def compare(
    dataset: str | None, models: str, seeds: int, root: Path | None, config: Path | None, settings: tuple[str, ...]
) -> None:
    """Train several models on one dataset and judge them alike.

    Transforms the data once. Shows metrics over seeds with a paired test, AUC by how often values were seen in
    training, and how much of the catalogue the models recommend. Writes a picture and the numbers.
    """
    with quiet(Path(os.devnull)) as terminal, busy(terminal, "Loading TFX"):
        from pipeline.config import run as configuration
        from pipeline.jobs.compare.job import compare_and_show

        configs = {
            name: configuration.load(config, {"dataset": dataset, "root": root, "train.model": name}, settings)
            for name in models.split(",")
        }
    compare_and_show(configs, range(seeds))
