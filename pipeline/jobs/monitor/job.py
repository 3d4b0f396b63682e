"""The job of `rankline monitor`, with its output."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from ml_metadata.proto.metadata_store_pb2 import ConnectionConfig
from rich.table import Table

from pipeline.jobs.monitor import served
from pipeline.jobs.monitor.judge import AlarmLimits, Findings, Unit, judge
from pipeline.run.history import origin_of
from pipeline.run.layout import Layout
from pipeline.terminal.tables import add_row, new_table
from schema.answers import RANKED_BY
from schema.dataset import find
from schema.errors import SpecError

_MOST_COLUMNS = 20


def run(
    dataset: str,
    layout: Layout,
    metadata: ConnectionConfig,
    pattern: str | None,
    labels: Sequence[Path],
    unit: Unit,
    limits: AlarmLimits,
) -> Findings:
    """Reads a request log and compares it with the run that pushed the newest version in it.

    Args:
        dataset: the dataset's name or path.
        layout: the layout of its runs.
        metadata: the connection to ML Metadata, which knows the runs.
        pattern: the pattern of the log's files; None is the log of `rankline serve --log-requests`.
        labels: the files with the labels of candidates.
        unit: the length of the windows.
        limits: the limits whose excess is an alarm.

    Raises:
        RanklineError: there is no log or no run, the labels are of no served candidate, or the dataset's rankings have
            no score.
    """
    spec = find(dataset).spec
    if spec.label.kind == "classes":
        raise SpecError(f"monitor: expected a label of two classes or a number, received {spec.label.kind}")
    if labels and (spec.label.kind != "binary" or spec.ranking is None):
        raise SpecError("--labels: expected a dataset with a ranking and a label of two classes")
    log = served.read(pattern or str(layout.requests / "*.tfrecord"), spec, RANKED_BY[spec.label.kind])
    return judge(log, spec, origin_of(metadata, layout.dataset, max(log.versions)), unit, limits, labels)


def tables(findings: Findings) -> Iterator[Table]:
    """Tables of all findings."""
    labelled = any(window.labelled for window in findings.windows)
    headings = ["window", "requests#", "candidates#", "mean score#", "drift#"]
    shown = new_table("What was served", *headings, *(["labelled#", "auc#", "calibration#"] if labelled else []))
    for window in findings.windows:
        cells = [f"{window.requests:,}", f"{window.candidates:,}", f"{window.mean_score:.4f}", _number(window.drift, 3)]
        if labelled:
            cells += [f"{window.labelled:,}", _number(window.auc, 4), _number(window.calibration, 3)]
        add_row(shown, window.name, *cells)
    metrics = [f"{name} {findings.judged[name]:.4f}" for name in ("auc", "calibration") if name in findings.judged]
    shown.caption = f"On the test split: {', '.join(metrics)}; its scores differ by {findings.scores:.3f}."
    yield shown
    shown = new_table("Columns", "column", "from training#", "from the window before#")
    for name, distance in islice(findings.skew.items(), _MOST_COLUMNS):
        add_row(shown, name, f"{distance:.3f}", _number(findings.drift.get(name), 3))
    yield shown


def _number(value: float | None, digits: int) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.{digits}f}"
