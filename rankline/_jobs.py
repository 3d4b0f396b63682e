"""The public functions. Each imports and calls its counterpart in the pipeline."""

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
    """Loads a dataset: fetches its files if necessary and completes its description from their columns.

    Args:
        dataset: a name that `rankline datasets` lists, a folder with a `features.yaml`, or the path of such a file.
            A `Dataset` is returned unchanged.
        span: the last span to read, for data that comes in spans: a date, a number, or "latest"; None reads all spans.
        window: the number of spans to read, up to and including `span`.

    Raises:
        RanklineError: the dataset does not exist, its description has a mistake, or its files are missing or
            unreadable.
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
    """Resolves the configuration of a run, as `rankline run` does with its options.

    Keys that are not given come from the `run.yaml` beside the dataset's `features.yaml`, if there is one, and else
    from the defaults.

    Args:
        config: the path of a YAML file, the same keys and values as a nested mapping, or a `RunConfig`, which sets
            every key; None sets none.
        dataset: the dataset, as for `load_dataset`. Overrides the one in `config`; by default movielens.
        model: the name of the model to train. Overrides the one in `config`.
        root: the folder of all runs. Overrides the one in `config`; by default `runs`.

    Raises:
        RanklineError: the configuration has mistakes; the message has a line for each.
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
    """Checks a dataset's description against all of its files, as `rankline validate` does.

    Args:
        dataset: the dataset, as for `load_dataset`.

    Returns:
        What each column becomes, and the sizes of the splits and of the model's input. `remarks` lists oddities in
        the data that are not errors.

    Raises:
        RanklineError: the description or the data has mistakes; the message names file, line and column.
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
    """Runs the whole chain, from rows to a pushed model, as `rankline run --no-serve` does.

    During the run, standard output and standard error of this process go into the run's log,
    ROOT/DATASET/logs/RUN/run.log.

    Args:
        dataset: the dataset, as for `load_dataset`. For data that comes in spans, the configuration chooses the spans.
        config: the configuration, as for `load_config`.
        model: the name of the model to train.
        root: the folder of all runs.
        show: whether to print progress, as the command does.

    Returns:
        The result of the run. If the model was refused, `version` is None and `refusals` has the reasons; if it was
        blessed although it could not be judged, `unjudged` has the reason. `metrics` are those of the test split,
        `warnings` are oddities in data and model, and `report` is the path of the report.

    Raises:
        RanklineError: the run was stopped; the message says why.
    """
    with hushed():
        from pipeline.jobs.run import run_and_show

    settled = load_config(config, dataset=dataset, model=model, root=root)
    return run_and_show(settled, serve=False, silent=not show)


@disk_errors()
def refresh(
    dataset: AnyDataset | None = None,
    *,
    config: AnyConfig | None = None,
    root: str | Path | None = None,
    show: bool = False,
) -> RunResult:
    """Takes new items and contexts into the latest blessed model, without training, as `rankline refresh` does.

    Args:
        dataset: the dataset, as for `load_dataset`. For data that comes in spans, the configuration chooses the spans.
        config: the configuration, as for `load_config`.
        root: the folder of all runs, with the model.
        show: whether to print progress, as the command does.

    Returns:
        The result of the run. If the model was refused, `version` is None and `refusals` has the reasons. `known` has
        the numbers of items and contexts.

    Raises:
        RanklineError: the run was stopped; the message says why.
    """
    with hushed():
        from pipeline.jobs.refresh import refresh_and_show

    return refresh_and_show(load_config(config, dataset=dataset, root=root), silent=not show)


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
    """Trains several models on one dataset and judges them on the same rows, as `rankline compare` does.

    Args:
        models: the names of the models. The first is the baseline of the others.
        dataset: the dataset, as for `load_dataset`.
        seeds: the number of trainings of each model. The significance test needs at least two.
        config: the configuration, as for `load_config`.
        root: the folder of all runs.
        show: whether to print progress and the tables, as the command does.

    Returns:
        A training for each model and seed, with its metrics over all test rows and by how often a row's values occur
        in training.

    Raises:
        RanklineError: the comparison was stopped; the message says why.
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
    """Plots a comparison: the metrics of each seed, and AUC by how often values occur in training.

    Args:
        comparison: the result of `compare`.

    Returns:
        A Matplotlib figure.
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
    features: bool = False,
    config: AnyConfig | None = None,
    root: str | Path | None = None,
) -> ExplainedRanking:
    """Explains the ranking of a user (or query) without a server, as `rankline explain` does.

    Args:
        dataset: the dataset, as for `load_dataset`. It must have a ranking.
        group: the user whose ranking to explain: a value of the ranking group's column.
        items: the items to explain; if empty, the best.
        top: the number of items to explain if `items` is empty.
        run_id: the run whose model to ask; None is the latest run with a blessed model.
        features: whether to read the dataset's files in place of the items and contexts that the run has kept, and to
            leave out items that the user has seen in them.
        config: the configuration, as for `load_config`. It says where runs are recorded.
        root: the folder of all runs.

    Returns:
        For each item, the contribution of each cross and feature to its logit.

    Raises:
        RanklineError: the group or an item is not in the data, there is no such run, or the model has no separable
            parts.
    """
    with hushed():
        from pipeline.jobs.explain import explain_ranking
        from pipeline.run.layout import Layout
        from pipeline.run.metadata import connection

    found = load_dataset(dataset)
    settled = load_config(config, dataset=found, root=root)
    metadata = connection(settled.metadata, Layout(settled.root, found.name).metadata)
    with hushed():
        return explain_ranking(found, metadata, str(group), [str(item) for item in items], top, run_id, features)


@disk_errors()
def load_report(
    dataset: AnyDataset | None = None,
    *,
    run_id: str | None = None,
    config: AnyConfig | None = None,
    root: str | Path | None = None,
) -> Report:
    """Loads the report of a run: the contents of the page that `rankline report` shows.

    Args:
        dataset: the dataset, as for `load_dataset`.
        run_id: the run; None is the latest finished one.
        config: the configuration, as for `load_config`. It says where runs are recorded.
        root: the folder of all runs.

    Raises:
        RanklineError: there is no such dataset or run, or another version of Rankline wrote the report.
    """
    with hushed():
        from pipeline.jobs import report

    return report.of_run(load_config(config, dataset=dataset, root=root), run_id)


@disk_errors()
def load_rows(dataset: AnyDataset) -> dict[Split, pd.DataFrame]:
    """Loads the rows of a dataset's train, eval and test split, as a run splits them.

    Args:
        dataset: the dataset, as for `load_dataset`.

    Raises:
        RanklineError: the files cannot be read or split.
    """
    with hushed():
        from pipeline.jobs.frames import rows_by_split

    return rows_by_split(load_dataset(dataset))


@disk_errors()
def load_judged(report: Report) -> pd.DataFrame:
    """Loads the rows of the test split that a run's evaluation kept, with the model's answers.

    Args:
        report: the report of the run.

    Returns:
        The raw columns; `label`; `answer`, the model's probability or number; and, for a model that is a sum of
        parts, a column `logit of PART` for each part.

    Raises:
        RanklineError: the outputs of the run no longer exist.
    """
    with hushed():
        from pipeline.jobs.frames import judged

        return judged(report)


@disk_errors()
def load_catalogue(dataset: AnyDataset) -> Catalogue:
    """Loads a dataset's items and groups (users or queries), and which items each group has seen.

    Args:
        dataset: the dataset, as for `load_dataset`. It must have a ranking.

    Raises:
        RanklineError: the dataset has no ranking, or its files cannot be read.
    """
    from schema.catalogue import catalogue

    return catalogue(load_dataset(dataset))


@contextlib.contextmanager
def serve(dataset: AnyDataset, *, root: str | Path = "runs") -> Iterator[str]:
    """Serves a dataset's pushed models until the `with` block ends.

    The server is a separate process on a free port of 127.0.0.1. It loads newer versions as they appear and logs to
    ROOT/DATASET/serve.log. The block may begin before the server is ready: see `Client.wait_until_available`.

    Args:
        dataset: the dataset, as for `load_dataset`. The model has its name.
        root: the folder of all runs.

    Yields:
        The server's gRPC address, for a `Client`.

    Raises:
        RanklineError: there is no such dataset, or the log cannot be written.
    """
    from pipeline.live.server import server
    from pipeline.run.layout import Layout

    layout = Layout(Path(root), load_dataset(dataset).name)
    with contextlib.ExitStack() as stack:
        with disk_errors():
            layout.serve_log.parent.mkdir(parents=True, exist_ok=True)
            target = stack.enter_context(server(layout, layout.serve_log))
        yield target
