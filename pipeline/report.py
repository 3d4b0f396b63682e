"""Reports of runs, read again: to compare two, and for notebooks."""

from __future__ import annotations

from pathlib import Path

from components.report import page
from components.report.comparison import compare as compared
from components.report.document import FACTS_FILE, Report
from pipeline.config import RunConfig
from pipeline.layout import Layout
from pipeline.metadata import connection
from pipeline.runs import with_report
from schema.dataset import find


def read(folder: Path) -> Report:
    """The facts in the folder of a report."""
    return Report.model_validate_json((folder / FACTS_FILE).read_text())


def latest(config: RunConfig) -> Report:
    """What is known of the latest run of the configuration's dataset that came to its end.

    Raises:
        RanklineError: there is no such dataset, or no such run.
    """
    layout = Layout(config.root, find(config.dataset).name)
    return read(Path(with_report(connection(config.metadata, layout.metadata), None, layout.dataset)))


def compare(baseline: Path, candidate: Path) -> str:
    """A page about how the model of one run differs from that of another.

    Args:
        baseline: the folder of the report of the run that is compared with.
        candidate: that of the run that is compared.

    Raises:
        RanklineError: they were not judged on the same rows.
    """
    return page.compared_html(compared(read(baseline), read(candidate)))
