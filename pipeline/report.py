"""`rankline report --compare`: two runs, from their reports."""

from __future__ import annotations

from pathlib import Path

from components.report import page
from components.report.comparison import compare as compared
from components.report.document import FACTS_FILE, Report


def compare(baseline: Path, candidate: Path) -> str:
    """A page about how the model of one run differs from that of another.

    Args:
        baseline: the folder of the report of the run that is compared with.
        candidate: that of the run that is compared.

    Raises:
        RanklineError: they were not judged on the same rows.
    """
    reports = [Report.model_validate_json((folder / FACTS_FILE).read_text()) for folder in (baseline, candidate)]
    return page.compared_html(compared(*reports))
