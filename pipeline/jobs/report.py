"""Reads the reports of runs again, for comparisons and notebooks."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from components.report import comparison, page
from components.report.document import FACTS_FILE, Report
from pipeline.config.run import RunConfig
from pipeline.run.history import with_report
from pipeline.run.layout import Layout
from pipeline.run.metadata import connection
from schema import feature_spec
from schema.dataset import spec_path
from schema.errors import RanklineError


def of_run(config: RunConfig, run_id: str | None) -> Report:
    """The report of a run of the configuration's dataset.

    Args:
        config: the configuration with the dataset and the place of its runs.
        run_id: the run's name; None for the latest that came to its end.

    Raises:
        RanklineError: there is no such dataset, or no such run.
    """
    layout = Layout(config.root, feature_spec.load(spec_path(config.dataset)).name)
    return _read(Path(with_report(connection(config.metadata, layout.metadata), run_id, layout.dataset)))


def compare(baseline: Path, candidate: Path) -> str:
    """A page that compares the models of two runs.

    Args:
        baseline: the folder of the first run's report.
        candidate: the folder of the report of the run that is compared with it.

    Raises:
        RanklineError: the models were not judged on the same rows, or another version of Rankline wrote a report.
    """
    return page.compared_html(comparison.compare(_read(baseline), _read(candidate)))


def _read(folder: Path) -> Report:
    """The facts in the folder of a report.

    Raises:
        RanklineError: another version of Rankline wrote it.
    """
    path = folder / FACTS_FILE
    try:
        return Report.model_validate_json(path.read_text())
    except ValidationError as error:
        raise RanklineError(
            f"{path}: expected a report as this version of Rankline writes it, received another: "
            f"{error.errors()[0]['loc'][0]}; `rankline run` writes one"
        ) from error
