"""`rankline bench`: seconds and rows per second of each component of the chain, without cached results."""

from __future__ import annotations

import os
import platform
import resource
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from components.descriptions import DESCRIPTIONS
from pipeline.config.run import RunConfig
from pipeline.run import local
from pipeline.run.layout import Layout
from pipeline.run.spans import dataset_in_window
from pipeline.terminal.console import quiet
from schema.feature_spec import Split

_MEBIBYTE = 1024  # of ru_maxrss's kibibytes


@dataclass(frozen=True)
class ChainBenchmark:
    """One cold run of the chain."""

    dataset: str
    model: str
    cpus: int
    processor: str
    rows: int
    seconds: Mapping[str, float]
    rows_per_second: Mapping[str, float]
    total_seconds: float
    """The seconds of all components and of the time between them, without imports."""
    import_seconds: float
    peak_mebibytes: int


def run(config: RunConfig, import_seconds: float) -> ChainBenchmark:
    """Runs the chain in a temporary folder.

    Args:
        config: the configuration of the run; its root is not used.
        import_seconds: the time for importing the libraries, in seconds.
    """
    dataset, _ = dataset_in_window(config.dataset, config.spans)
    with tempfile.TemporaryDirectory(prefix="rankline-bench-") as folder:
        config = config.model_copy(update={"root": Path(folder), "cache": False})
        run_id = local.new_run_id()
        with quiet(Layout(config.root, dataset.name).logs(run_id) / local.LOG_FILE) as console:
            start = time.monotonic()
            result = local.run(config, dataset, run_id, console)
            total = time.monotonic() - start
    return ChainBenchmark(
        dataset=dataset.name,
        model=config.train.model,
        cpus=len(os.sched_getaffinity(0)),
        processor=platform.processor() or platform.machine(),
        rows=sum(result.rows.values()),
        seconds=result.seconds,
        rows_per_second={
            node: round(sum(result.rows[split] for split in read) / seconds)
            for node, seconds in result.seconds.items()
            if (read := _read_once(node))
        },
        total_seconds=round(total, 2),
        import_seconds=round(import_seconds, 2),
        peak_mebibytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // _MEBIBYTE,
    )


def _read_once(node: str) -> Sequence[Split]:
    """The splits that a component reads once; empty if it reads them repeatedly."""
    description = DESCRIPTIONS[node]
    return () if description.repeats else description.splits


def table(benchmark: ChainBenchmark) -> Table:
    """The benchmark as a table."""
    result = Table(title=f"{benchmark.model} on {benchmark.dataset}, {benchmark.rows:,} rows, {benchmark.cpus} CPUs")
    result.add_column("Component")
    for heading in ("Seconds", "Share", "Rows/s"):
        result.add_column(heading, justify="right")
    whole = benchmark.import_seconds + benchmark.total_seconds
    lines = {"imports": benchmark.import_seconds, **benchmark.seconds}
    for name, seconds in lines.items():
        rate = benchmark.rows_per_second.get(name)
        result.add_row(name, f"{seconds:.1f}", f"{seconds / whole:.0%}", f"{rate:,.0f}" if rate else "")
    result.add_section()
    result.add_row("all", f"{whole:.1f}", "", f"{benchmark.rows / whole:,.0f}")
    result.caption = f"peak memory {benchmark.peak_mebibytes:,} MiB"
    return result
