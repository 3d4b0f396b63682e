"""Commands that measure; each prints a table."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Literal

import click

from pipeline.commands import options
from pipeline.terminal.console import busy, console, counted, quiet
from pipeline.terminal.json import as_json
from schema.finite import FiniteRange


@click.command()
@options.dataset
@options.model
@options.json
def bench(dataset: str | None, model: str | None, json_path: Path | None) -> None:
    """Measure each component on a cold run.

    Shows seconds, rows per second and memory. Nothing is cached or kept.
    """
    start = time.monotonic()
    with quiet(Path(os.devnull)) as terminal, busy(terminal, "Loading TFX"):
        from pipeline.bench import chain
        from pipeline.config import run as configuration

    imported = time.monotonic() - start
    run_config = configuration.load(None, {"dataset": dataset, "train.model": model}, ())
    result = chain.run(run_config, imported)
    console().print(chain.table(result))
    options.keep(as_json(result), json_path)


@click.command("bench-train")
@click.option(
    "--models",
    "-m",
    default="wide_deep,dcn_v2",
    show_default=True,
    metavar="NAME,...",
    help="The models to measure: one or both of these.",
)
@click.option(
    "--ids", default="10000,1000000,10000000", show_default=True, metavar="NUMBER,...",
    help="The total numbers of ids of all categorical columns.",
)  # fmt: skip
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="The turns of each library.")
@click.option("--steps", type=click.IntRange(min=1), default=10, show_default=True, help="The steps of a turn.")
@options.json
def bench_train(models: str, ids: str, rounds: int, steps: int, json_path: Path | None) -> None:
    """Measure training steps beside those of other libraries.

    All sides train the same architecture on the same rows, by turns. Shows rows per second, memory and AUC, and the
    bound that the model's matrix products set. `make bench-train` first makes the environment for the other libraries.
    """
    from pipeline.bench import train

    if not all(total.isdecimal() for total in ids.split(",")):
        raise click.BadParameter(f"expected whole numbers with commas between, received {ids!r}", param_hint="--ids")
    setting = train.Setting(models.split(","), [int(total) for total in ids.split(",")], rounds, steps)
    result = train.run(setting, lambda table: console().print(table))
    options.keep(as_json(result), json_path)


@click.command("bench-serve")
@options.dataset_or_default
@options.root
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="The turns of each side.")
@click.option(
    "--seconds", type=FiniteRange(min=0, min_open=True), default=3.0, show_default=True, help="The length of a turn."
)
@click.option("--swaps", type=click.IntRange(min=0), default=20, show_default=True, help="The new versions under load.")
@click.option(
    "--flood", type=click.IntRange(min=0), default=10_000, show_default=True, help="The requests sent at once."
)
@click.option(
    "--soak-minutes", type=click.IntRange(min=0), default=0, show_default=True,
    help="The minutes of load at the end, with a new version every minute.",
)  # fmt: skip
@click.option(
    "--catalogue", "catalogues", type=click.IntRange(min=1), multiple=True, metavar="NUMBER",
    help="Measure models of so many generated items instead. Repeatable.",
)  # fmt: skip
@options.json
def bench_serve(
    dataset: str,
    root: Path | None,
    rounds: int,
    seconds: float,
    swaps: int,
    flood: int,
    soak_minutes: int,
    catalogues: tuple[int, ...],
    json_path: Path | None,
) -> None:
    """Measure the embedded server on the latest pushed model.

    Compares it with a call of the loaded model in this process, and with a gRPC server that does nothing, for 1 and 100
    candidates and 1, 8 and 32 clients. Then compares the ways to ask (by columns, by ids, for the best of all items),
    sends requests at random times, pushes new versions under load, and sends more requests at once than the server
    takes.

    With --catalogue, compares the ways to ask untrained models that know generated items, and needs no pushed model.
    """
    if catalogues:
        _bench_catalogues(catalogues, rounds, seconds, json_path)
        return
    with quiet(Path(os.devnull)) as terminal:
        with busy(terminal, "Loading TensorFlow"):
            from pipeline.bench import serve
            from schema.dataset import find
        setting = serve.Setting(rounds=rounds, seconds=seconds, swaps=swaps, flood=flood, soak_minutes=soak_minutes)
        with terminal.status("") as status:
            result = serve.run(find(dataset), options.layout(dataset, root), setting, status.update)
        for table in serve.tables(result):
            terminal.print(table)
    options.keep(as_json(result), json_path)


def _bench_catalogues(items: tuple[int, ...], rounds: int, seconds: float, json_path: Path | None) -> None:
    with quiet(Path(os.devnull)) as terminal:
        with busy(terminal, "Loading TensorFlow"):
            from pipeline.bench import catalogues
        with terminal.status("") as status:
            result = catalogues.run(catalogues.Setting(items, catalogues.MODELS, rounds, seconds), status.update)
        for table in catalogues.tables(result):
            terminal.print(table)
    options.keep(as_json(result), json_path)


@click.command("bench-scale")
@click.option(
    "--rows", "sizes", default="100000,1000000,10000000", show_default=True, metavar="NUMBER,...",
    help="The numbers of rows of the datasets.",
)  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice(["parquet", "csv"]), default="parquet", show_default=True,
    help="The format of their files.",
)  # fmt: skip
@click.option(
    "--flink", "task_managers", type=click.IntRange(min=1), multiple=True, metavar="NUMBER",
    help="Also run on a Flink cluster of this many TaskManagers, started for the benchmark. Repeatable.",
)  # fmt: skip
@options.settings
@options.json
def bench_scale(
    sizes: str,
    form: Literal["parquet", "csv"],
    task_managers: tuple[int, ...],
    settings: tuple[str, ...],
    json_path: Path | None,
) -> None:
    """Measure the cost of a row in each component as the rows grow.

    Sends generated rows through the chain, each component in a process of its own. Shows seconds, rows per second and
    memory, and the cost of a further row. pandas computes Transform's features for comparison.
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
    options.keep(as_json(result), json_path)


@click.command("bench-planted")
@click.option(
    "--rows", type=click.IntRange(min=1000), default=1_000_000, show_default=True, help="The rows to train on."
)
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="The trainings of each model.")
def bench_planted(rows: int, seeds: int) -> None:
    """Show which model memorises and which generalises.

    Trains wide, deep and Wide & Deep on generated clicks with known probabilities, in which crosses, low-rank
    interactions or both are planted, and shows how far each stays behind the best possible prediction.
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
