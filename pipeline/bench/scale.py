"""`rankline bench-scale`: the time and memory that each component needs as the rows grow.

Rows in Criteo's format (see `schema.criteo.generator`) go through the chain, at several sizes. Each component is a
process of its own, as in a cluster's pod, so that its memory can be measured. Its seconds include the work before the
first row (imports, Beam's graph). The cost of a further row, computed from two sizes, does not.

pandas also computes Transform's features, from the same files to the same columns, with all rows in memory: the
difference is the cost of Beam, and of a graph that can be served.

The same chain on local Flink clusters, with one TaskManager and with more, shows how the work is distributed.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from pyarrow import parquet
from rich.table import Table

from components.descriptions import DESCRIPTIONS
from pipeline.config import run as configuration
from pipeline.flink import cluster
from pipeline.run.graph import create_pipeline
from pipeline.run.node import REFUSED, CompiledPipeline
from pipeline.terminal.tables import add_row, new_table
from schema.criteo.generator import Generator
from schema.criteo.source import as_table, write
from schema.dataset import find, spec_path
from schema.errors import RanklineError
from trainer import vocabulary

Format = Literal["parquet", "csv"]

_SHARES = {"train": 0.8, "eval": 0.1, "test": 0.1}
_ROWS_PER_FILE = 50_000
_PANDAS = "pandas"
"""The name of Transform's features without Beam, among the components."""
_BY_BEAM = tuple(name for name, each in DESCRIPTIONS.items() if each.beam and each.splits)
"""The components that run on Beam and read splits."""


@dataclass(frozen=True)
class Cost:
    """The cost of a component.

    Attributes:
        rows: the number of rows that it read.
        seconds: the time from its process' start to its end.
        cpu_seconds: the CPU time of all cores together.
        mebibytes: the largest memory.
    """

    rows: int
    seconds: float
    cpu_seconds: float
    mebibytes: int


@dataclass(frozen=True)
class ScaleBenchmark:
    """All measurements of one run.

    Attributes:
        format: the format of the files.
        cpus: the number of cores.
        settings: the settings of the runs' configuration.
        costs: number of rows of the dataset -> component -> its cost.
        flink: number of TaskManagers -> the same costs on a Flink cluster of that size, for the components that Beam
            runs. CPU time and memory are only those of the client.
    """

    format: Format
    cpus: int
    settings: Sequence[str]
    costs: Mapping[int, Mapping[str, Cost]]
    flink: Mapping[int, Mapping[int, Mapping[str, Cost]]]

    def per_row(self, component: str) -> Iterator[float]:
        """The CPU microseconds of a further row, between each size and the next."""
        taken = [self.costs[size][component] for size in sorted(self.costs)]
        for few, many in itertools.pairwise(taken):
            yield 1e6 * (many.cpu_seconds - few.cpu_seconds) / (many.rows - few.rows)

    def speed_up(self, component: str, task_managers: int) -> float:
        """The speed of a cluster on further rows, as a multiple of the smallest cluster's.

        It compares the largest and the smallest size, so the time of a job before its first row does not count.
        """
        fewest, most = min(self.costs), max(self.costs)

        def further(cluster_size: int) -> float:
            of = self.flink[cluster_size]
            return of[most][component].seconds - of[fewest][component].seconds

        return further(min(self.flink)) / further(task_managers)


def run(
    sizes: Sequence[int],
    form: Format,
    settings: Sequence[str],
    task_managers: Sequence[int],
    on_step: Callable[[str], None],
) -> ScaleBenchmark:
    """Runs the chain for each size.

    Args:
        sizes: the numbers of rows of the datasets.
        form: the format of their files.
        settings: the settings that differ from the defaults, as `key=value`.
        task_managers: the sizes of the Flink clusters on which the chain also runs.
        on_step: a function that is called before each step, with the step's name.

    Raises:
        RanklineError: a component failed, pandas found other vocabularies than Transform, or Flink cannot be started.
    """
    costs: dict[int, dict[str, Cost]] = {}
    flink: dict[int, dict[int, dict[str, Cost]]] = {number: {} for number in task_managers}
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="rankline-bench-") as name:
            folder, shown = Path(name), f"{size:,} rows"
            on_step(f"{shown}: writing them")
            rows = write_dataset(folder / "rows", size, form)
            chain = _Chain(folder, rows, "runs", settings)
            costs[size] = chain.costs(lambda node: on_step(f"{shown}: {node}"))  # noqa: B023 (called within the turn)
            if form == "parquet":
                on_step(f"{shown}: {_PANDAS}")
                costs[size][_PANDAS] = _cost_of_pandas(folder, rows, chain.root)
            for number in task_managers:
                chain = _Chain(folder, rows, f"runs-{number}", [*settings, "beam.name=flink"])
                flink[number][size] = _costs_on_flink(chain, number, f"{shown}, {number} TaskManagers", on_step)
    return ScaleBenchmark(form, len(os.sched_getaffinity(0)), tuple(settings), costs, flink)


def write_dataset(folder: Path, size: int, form: Format) -> dict[str, int]:
    """Writes a dataset in files small enough to be distributed.

    Returns:
        The number of rows of each split.
    """
    spec = yaml.safe_load(spec_path("criteo").read_text())
    for key in ("fetch", *(("header", "column_names", "format") if form == "parquet" else ())):
        spec["source"].pop(key, None)
    spec["source"]["files"] = {split: split for split in _SHARES}
    generator, seeds = Generator(), itertools.count()
    rows = {split: round(size * share) for split, share in _SHARES.items()}
    for split, left in rows.items():
        (folder / split).mkdir(parents=True)
        for first in range(0, left, _ROWS_PER_FILE):
            drawn = generator.draw(min(_ROWS_PER_FILE, left - first), next(seeds))
            path = folder / split / f"{first:010d}"
            if form == "parquet":
                parquet.write_table(as_table(drawn), path.with_suffix(".parquet"))
            else:
                write(drawn, path.with_suffix(".tsv"))
    (folder / "features.yaml").write_text(yaml.safe_dump({"name": "scale", **spec}))
    return rows


@dataclass(frozen=True)
class _Chain:
    """The chain on a dataset's rows.

    Attributes:
        folder: the folder whose subfolder `rows` is the dataset.
        rows: the number of rows of each split.
        runs: the name of the folder for the runs.
        settings: the settings that differ from the defaults.
    """

    folder: Path
    rows: Mapping[str, int]
    runs: str
    settings: Sequence[str]

    @property
    def root(self) -> Path:
        return self.folder / self.runs

    def costs(self, on_node: Callable[[str], None], wanted: Collection[str] = ()) -> dict[str, Cost]:
        """Runs each component in a process of its own; stops after the `wanted` ones, if given."""
        data = str(self.folder / "rows")
        given = {"dataset": data, "root": str(self.root), "train": {"epochs": 1}}
        config = configuration.resolve(given, {}, self.settings, "bench-scale")
        command = ["pipeline.run.node", "--run-id=scale", f"--config={json.dumps(given)}"]
        command.append(f"--settings={json.dumps(self.settings)}")
        costs: dict[str, Cost] = {}
        for name in CompiledPipeline(create_pipeline(config, find(data)), "").node_ids():
            if wanted and costs.keys() >= set(wanted):
                break
            on_node(name)
            costs[name] = _cost(name, self.rows, [*command, f"--node={name}"], self.folder / "log")
        return costs


def _costs_on_flink(chain: _Chain, task_managers: int, shown: str, on_step: Callable[[str], None]) -> dict[str, Cost]:
    """The costs of the components that Beam runs, on a Flink cluster that is started for them."""
    on_step(f"{shown}: starting them")
    cluster.up(chain.root, task_managers)
    try:
        found = chain.costs(lambda node: on_step(f"{shown}: {node}"), _BY_BEAM)
    finally:
        cluster.down(chain.root)
    return {node: found[node] for node in _BY_BEAM}


def _cost_of_pandas(folder: Path, rows: Mapping[str, int], root: Path) -> Cost:
    found = folder / "vocabularies.json"
    flags = f"--data={folder / 'rows'}", f"--output={folder / 'features.parquet'}", f"--vocabularies={found}"
    cost = _cost(_PANDAS, rows, ["pipeline.bench.sides.frame", *flags], folder / "log")
    _check_alike(root, json.loads(found.read_text()))
    return cost


def _cost(name: str, rows: Mapping[str, int], command: Sequence[str], log: Path) -> Cost:
    took = log.with_suffix(".json")
    measured = [sys.executable, "-m", "pipeline.bench.sides.measured", str(took)]
    with log.open("ab") as output:
        status = subprocess.call([*measured, sys.executable, "-m", *command], stdout=output, stderr=output)
    if status not in (0, REFUSED):
        last = log.read_text(errors="replace").strip().splitlines()[-1]
        raise RanklineError(f"{name}: exit status {status}: {last}")
    read = DESCRIPTIONS["Transform" if name == _PANDAS else name].splits
    return Cost(rows=sum(rows[split] for split in read), **json.loads(took.read_text()))


def _check_alike(root: Path, sizes: Mapping[str, int]) -> None:
    """Checks that Transform and pandas found the same vocabularies: else they would not have done the same work."""
    (asset,) = root.glob(f"*/artifacts/Transform/transform_graph/*/transform_fn/assets/{vocabulary.ASSET}")
    ours = {name: len(tokens) for name, tokens in vocabulary.read(str(asset)).items()}
    if ours != sizes:
        raise RanklineError(f"expected the vocabularies of Transform and of pandas to be alike: {ours}, {sizes}")


def tables(result: ScaleBenchmark) -> Iterator[Table]:
    """Tables of all measurements."""
    sizes = sorted(result.costs)
    how = f"{result.format} files, {result.cpus} CPUs" + "".join(f", {setting}" for setting in result.settings)
    headings = [heading for size in sizes for heading in (f"{size:,} rows: s#", "rows/s#", "MiB#")]
    further = [f"CPU µs per row,\n{few:,} to {many:,}#" for few, many in itertools.pairwise(sizes)]
    shown = new_table(f"Components by rows ({how})", "component", *headings, *further)
    for name in result.costs[sizes[0]]:
        cells = []
        reads = result.costs[sizes[0]][name].rows > 0
        for cost in (result.costs[size][name] for size in sizes):
            rate = f"{cost.rows / cost.seconds:,.0f}" if reads else ""
            cells += [f"{cost.seconds:,.1f}", rate, f"{cost.mebibytes:,}"]
        costs = [f"{cost:.1f}" for cost in result.per_row(name)] if reads else []
        add_row(shown, name, *cells, *costs)
    yield shown
    if result.flink:
        yield _flink_table(result)


def _flink_table(result: ScaleBenchmark) -> Table:
    numbers, sizes = sorted(result.flink), sorted(result.costs)
    others = numbers[1:] if len(sizes) > 1 else []
    headings = [f"{size:,} rows,\n{number}: s#" for size in sizes for number in numbers]
    faster = [f"further rows,\n{number}: times as fast#" for number in others]
    shown = new_table(f"On Flink, by TaskManagers ({result.cpus} CPUs)", "component", *headings, *faster)
    for name in _BY_BEAM:
        seconds = [f"{result.flink[number][size][name].seconds:,.1f}" for size in sizes for number in numbers]
        add_row(shown, name, *seconds, *(f"{result.speed_up(name, number):.2f}" for number in others))
    return shown
