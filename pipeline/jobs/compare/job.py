"""The job of `rankline compare`, with its output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.markup import escape

from pipeline.config.run import RunConfig
from pipeline.jobs.compare import data, show
from pipeline.jobs.compare.metrics import check_two_classes
from pipeline.jobs.compare.run import Comparison, compare
from pipeline.run import local
from pipeline.run.layout import Layout
from pipeline.run.spans import dataset_in_window
from pipeline.terminal.console import busy, counted, quiet
from trainer import models


def compare_and_show(configs: Mapping[str, RunConfig], seeds: Sequence[int], silent: bool = False) -> Comparison:
    """Transforms the data, trains all models, and shows and writes how they compare.

    Args:
        configs: model -> its configuration. All keys but `train` are equal; the models are compared with the first one.
        seeds: the seeds of each model's trainings.
        silent: whether to show nothing.

    Returns:
        The comparison that is shown, for further analysis.

    Raises:
        RanklineError: something stopped the comparison.
    """
    names = list(configs)
    config = configs[names[0]]
    for name in names:
        models.check(name)
    run_id = local.new_run_id()
    dataset, _ = dataset_in_window(config.dataset, config.spans)
    check_two_classes(dataset.spec, "compare", "; train one with `rankline run`")
    logs = Layout(config.root, dataset.name).logs(run_id)
    with quiet(logs / local.LOG_FILE, silent) as console:
        console.print(f"Comparing {escape(', '.join(names))} on [bold]{escape(dataset.name)}[/]")
        console.print(f"  [dim]log: {escape(str(logs / local.LOG_FILE))}[/]")
        folders = local.prepare(config, dataset, run_id, console)
        with busy(console, "Reading the splits"):
            loaded = data.load(dataset, folders, config.train.memory_mb)
        with counted(console) as progress:
            task = progress.add_task("", total=len(names) * len(seeds))
            comparison = compare(
                dataset.name,
                loaded,
                {name: each.train for name, each in configs.items()},
                seeds,
                lambda name, seed: progress.update(task, description=f"{name}, seed {seed}"),
                lambda: progress.advance(task),
            )
        for table in show.tables(comparison):
            console.print(table)
        for path in show.write(comparison, logs):
            console.print(f"  [dim]{escape(str(path))}[/]")
    return comparison
