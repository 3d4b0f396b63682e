"""The functions of the face: each calls one of the pipeline's, which is imported when it is called."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from pipeline.terminal.console import hushed
from schema.dataset import Dataset, find
from schema.errors import RanklineError, disk_errors

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from components.report.document import ExplainedRanking, Report
    from components.run_result import RunResult
    from pipeline.config.run import RunConfig
    from pipeline.jobs.compare.run import Comparison
    from schema.catalogue import Catalogue
    from schema.describe import Description
    from schema.feature_spec import Split

    AnyConfig: TypeAlias = RunConfig | Mapping[str, object] | str | Path
    AnyDataset: TypeAlias = Dataset | str | Path


@disk_errors()
def load_dataset(dataset: AnyDataset, span: str | None = None, window: int = 1) -> Dataset:
    """A dataset, its files fetched if need be, its description completed from their columns.

    Args:
        dataset: a name that `rankline datasets` lists; or a folder with a `features.yaml`, or such a file. What is
            loaded already is returned as it is.
        span: of data that comes in spans, read those up to this one: a date, a number, or "latest"; None is all.
        window: so many of them.

    Raises:
        RanklineError: no such dataset, a mistake in its description, or files that are not there or cannot be read.
    """
    return dataset if isinstance(dataset, Dataset) else find(str(dataset), span, window)


@disk_errors()
def load_config(
    config: AnyConfig | None = None,
    *,
    dataset: AnyDataset | None = None,
    model: str | None = None,
    root: str | Path | None = None,
) -> RunConfig:
    """A run's configuration, as `rankline run` has it of its options.

    What is given nowhere is as in the `run.yaml` beside the dataset's `features.yaml`, if there is one.

    Args:
        config: a YAML file, or what would be in it, nested; or a `RunConfig`, which says all there is; None is nothing.
        dataset: as of `load_dataset`, to go before that of `config`; by default movielens.
        model: which to train, to go before that of `config`.
        root: where runs are kept, to go before that of `config`; by default the folder `runs`.

    Raises:
        RanklineError: with a line for each mistake.
    """
    with hushed():
        from pipeline.config import run as configuration
        from pipeline.config.run import RunConfig

    if isinstance(dataset, Dataset):
        dataset = dataset.path
    options = {"dataset": None if dataset is None else str(dataset), "train.model": model, "root": root}
    if isinstance(config, RunConfig):
        config = json.loads(config.as_file())
    if isinstance(config, Mapping):
        return configuration.resolve(config, options, (), "configuration")
    if config is None or isinstance(config, str | Path):
        return configuration.load(None if config is None else Path(config), options, ())
    raise RanklineError(f"config: expected a file, keys and values or a RunConfig, received {config!r}")


@disk_errors()
def validate(dataset: AnyDataset) -> Description:
    """Checks a dataset's description against all of its files: `rankline validate`.

    Args:
        dataset: as of `load_dataset`.

    Returns:
        What becomes of each column, the sizes of the splits and of the model's input; and, as `remarks`, what is odd
        about the data and no mistake.

    Raises:
        RanklineError: what is wrong with it, by file, line and column.
    """
    from schema.describe import describe

    return describe(load_dataset(dataset))


@disk_errors()
def run(
    dataset: AnyDataset | None = None,
    *,
    config: AnyConfig | None = None,
    model: str | None = None,
    root: str | Path | None = None,
    show: bool = False,
) -> RunResult:
    """Runs the whole chain, from rows to a pushed model: `rankline run --no-serve`.

    While it goes on, what this process writes to standard output and error goes into the run's log, `run.log` in
    ROOT/DATASET/logs/RUN.

    Args:
        dataset: as of `load_dataset`. Of data that comes in spans the configuration says which are read.
        config: as of `load_config`, as are `model` and `root`.
        model: which to train.
        root: where runs are kept.
        show: print how it goes, as the command does.

    Returns:
        What it gave. Where the model was refused, `refusals` says why and `version` is None; where it was blessed
        unjudged, `unjudged` does. `metrics` are those of the test split, `warnings` what is odd about data and model,
        `report` is the page about it all.

    Raises:
        RanklineError: what stopped the run.
    """
    with hushed():
        from pipeline.jobs.run import run_and_show

    settled = load_config(config, dataset=dataset, model=model, root=root)
    return run_and_show(settled, serve=False, silent=not show)


@disk_errors()
def compare(
    models: Sequence[str],
    dataset: AnyDataset | None = None,
    *,
    seeds: int = 5,
    config: AnyConfig | None = None,
    root: str | Path | None = None,
    show: bool = False,
) -> Comparison:
    """Trains several models on one dataset and judges them on the same rows: `rankline compare`.

    Args:
        models: their names; each is compared with the first.
        dataset: as of `load_dataset`.
        seeds: so many trainings of each model; two tell a difference from chance.
        config: as of `load_config`, as is `root`.
        root: where runs are kept.
        show: print how it goes, and the tables, as the command does.

    Returns:
        For each model a training per seed, with metrics over all test rows and by how often what a row is about was
        seen in training.

    Raises:
        RanklineError: what stopped it.
    """
    with hushed():
        from pipeline.jobs.compare.job import compare_and_show

    if isinstance(models, str) or not models:
        raise RanklineError(f"models: expected a list of names such as ['wide', 'deep'], received {models!r}")
    if seeds < 1:
        raise RanklineError(f"seeds: expected a number of at least 1, received {seeds}")
    configs = {name: load_config(config, dataset=dataset, model=name, root=root) for name in models}
    return compare_and_show(configs, range(seeds), silent=not show)


def picture(comparison: Comparison) -> Figure:
    """What `compare` found, as a picture: the metrics with their seeds, and AUC by what was seen how often.

    Args:
        comparison: of the models.

    Returns:
        A figure, which a notebook shows.
    """
    from pipeline.jobs.compare import show

    return show.picture(comparison)


@disk_errors()
def explain(
    dataset: AnyDataset,
    group: str,
    *,
    items: Sequence[str] = (),
    top: int = 3,
    run_id: str | None = None,
    config: AnyConfig | None = None,
    root: str | Path | None = None,
) -> ExplainedRanking:
    """Explains why a user (or query) is shown what, without a server: `rankline explain`.

    Args:
        dataset: as of `load_dataset`, with a ranking.
        group: whose list, a value of the ranking group's column.
        items: which to explain, also ones that the group has met; none are the best that it has not met.
        top: how many of these.
        run_id: whose model is asked; None is the latest whose model was blessed.
        config: as of `load_config`, as is `root`: where runs are known.
        root: where runs are kept.

    Returns:
        For each item, what each cross and feature adds to its logit.

    Raises:
        RanklineError: a group or an item that is not in the data, no such run, or a model that cannot be taken apart.
    """
    with hushed():
        from pipeline.jobs.explain import explain_ranking
        from pipeline.run.layout import Layout
        from pipeline.run.metadata import connection

    found = load_dataset(dataset)
    settled = load_config(config, dataset=found, root=root)
    metadata = connection(settled.metadata, Layout(settled.root, found.name).metadata)
    with hushed():
        return explain_ranking(found, metadata, str(group), [str(item) for item in items], top, run_id)


@disk_errors()
def load_report(
    dataset: AnyDataset | None = None,
    *,
    run_id: str | None = None,
    config: AnyConfig | None = None,
    root: str | Path | None = None,
) -> Report:
    """All that is known of a run and its model: the facts of the page that `rankline report` shows.

    Args:
        dataset: as of `load_dataset`.
        run_id: which of its runs; None is the latest that came to its end.
        config: as of `load_config`, as is `root`: where runs are known.
        root: where runs are kept.

    Raises:
        RanklineError: no such dataset or run, or another version of Rankline wrote the report.
    """
    with hushed():
        from pipeline.jobs import report

    return report.of_run(load_config(config, dataset=dataset, root=root), run_id)


@disk_errors()
def load_rows(dataset: AnyDataset) -> dict[Split, pd.DataFrame]:
    """The rows of a dataset's train, eval and test split, as a run splits them.

    Args:
        dataset: as of `load_dataset`.

    Raises:
        RanklineError: files that cannot be read or split.
    """
    with hushed():
        from pipeline.jobs.frames import rows_by_split

    return rows_by_split(load_dataset(dataset))


@disk_errors()
def load_judged(report: Report) -> pd.DataFrame:
    """The rows of the test split that a run's evaluation kept, with what its model says of them.

    Args:
        report: of the run.

    Returns:
        The raw columns; `label`; `answer`, the model's probability or number; and, of a model that is a sum of parts,
        `logit of PART` for each.

    Raises:
        RanklineError: what the run has made is no longer there.
    """
    with hushed():
        from pipeline.jobs.frames import judged

        return judged(report)


@disk_errors()
def load_catalogue(dataset: AnyDataset) -> Catalogue:
    """What there is to rank for whom: a dataset's items, its groups, and which has met which.

    Args:
        dataset: as of `load_dataset`, with a ranking.

    Raises:
        RanklineError: the dataset ranks nothing, or files that cannot be read.
    """
    from schema.catalogue import catalogue

    return catalogue(load_dataset(dataset))


@contextlib.contextmanager
def serve(dataset: AnyDataset, *, root: str | Path = "runs") -> Iterator[str]:
    """Serves a dataset's pushed models beside this process, until the block is left.

    The server is a process of its own, on a free port of 127.0.0.1; newer versions are taken over as they come. It may
    still have to start: see `Client.wait_until_available`. What it says is in ROOT/DATASET/serve.log.

    Args:
        dataset: as of `load_dataset`; the model is called like it.
        root: where runs are kept.

    Yields:
        Its gRPC address, for a `Client`.

    Raises:
        RanklineError: no such dataset, or no place for the log.
    """
    from pipeline.live.server import server
    from pipeline.run.layout import Layout

    layout = Layout(Path(root), load_dataset(dataset).name)
    with contextlib.ExitStack() as stack:
        with disk_errors():
            layout.serve_log.parent.mkdir(parents=True, exist_ok=True)
            target = stack.enter_context(server(layout, layout.serve_log))
        yield target
